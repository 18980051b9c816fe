"""Who gets into the console, by what, and what a session may not do."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ksl.api.app import create_app

from tests.integration.api.serving import Served, serving
from tests.integration.api.test_server import every_route
from tests.integration.api.visiting import BROWSER, Visitor, proof_in, text_in, visiting


@pytest.fixture
async def visitor(served: Served) -> AsyncIterator[Visitor]:
    async with visiting(served) as visitor:
        yield visitor


async def link_of(served: Served) -> str:
    answer = await served.client.post("/login-links")
    assert answer.status_code == 201
    url: str = answer.json()["url"]
    return url


async def test_a_stranger_is_shown_the_door_and_a_program_a_problem(served: Served) -> None:
    page = await served.stranger.get("/ui/runs?q=state:failed", headers=BROWSER)
    assert page.status_code == 401
    assert 'name="token"' in page.text
    assert 'value="runs?q=state:failed"' in page.text
    program = await served.stranger.get("/ui/runs")
    assert (program.status_code, program.json()["code"]) == (401, "KSL600")


async def test_a_link_lets_in_once_with_a_cookie_that_only_pages_of_ours_are_sent_with(
    served: Served,
) -> None:
    link = await link_of(served)
    let_in = await served.stranger.get(link, headers=BROWSER)
    assert let_in.status_code == 200
    cookie = let_in.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/ui"} <= {part.strip() for part in cookie.split(";")}
    assert (await served.stranger.get("/ui/runs", headers=BROWSER)).status_code == 200
    served.stranger.cookies.clear()
    again = await served.stranger.get(link, headers=BROWSER)
    assert (again.status_code, "used before" in text_in(again)) == (401, True)
    assert "set-cookie" not in again.headers


async def test_looking_at_a_link_without_opening_it_does_not_use_it_up(served: Served) -> None:
    link = await link_of(served)
    assert (await served.stranger.head(link)).status_code in (401, 405)
    assert (await served.stranger.get(link)).status_code == 200


async def test_the_token_lets_in_and_leads_on_to_the_page_that_was_wanted(served: Served) -> None:
    form = {"token": f" {served.runtime.token}\n", "wanted": "runs?q=state:failed"}
    let_in = await served.stranger.post("/ui/login", data=form)
    assert (let_in.status_code, let_in.headers["location"]) == (303, "./runs?q=state:failed#again")
    wrong = await served.stranger.post("/ui/login", data={"token": "guess", "wanted": ""})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers


async def test_a_form_sent_without_a_session_leads_to_the_door_and_back_to_its_page(
    served: Served, visitor: Visitor
) -> None:
    run_id = await served.start("sleeper")
    visitor.client.cookies.clear()
    page = await visitor.send(f"runs/{run_id}/cancel", proof="")
    assert (page.status_code, "Nothing was done" in text_in(page)) == (401, True)
    wanted = re.search(r'name="wanted" value="([^"]+)"', page.text)
    assert wanted is not None
    form = {"token": served.runtime.token, "wanted": wanted[1]}
    back = await visitor.client.post("/ui/login", data=form)
    assert (back.status_code, back.url.path) == (200, f"/ui/runs/{run_id}")
    assert str(back.url).endswith("#again")
    assert (await served.run(run_id))["status"] == "sleeping"


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example/",
        "https://evil.example",
        "/\\evil.example",
        "../../evil",
        "\\\\evil",
        "runs//evil",
        "x:y",
        "é",
    ],
)
async def test_the_door_leads_nowhere_else(served: Served, wanted: str) -> None:
    form = {"token": served.runtime.token, "wanted": wanted}
    let_in = await served.stranger.post("/ui/login", data=form)
    assert (let_in.status_code, let_in.headers["location"]) == (303, "./")


async def test_a_session_opens_the_console_and_nothing_else(served: Served, visitor: Visitor) -> None:
    for method, path in [
        ("GET", "/runs"),
        ("GET", "/uix"),
        ("POST", "/login-links"),
        ("POST", "/workflows/nothing"),
        ("GET", "/ui/../runs"),
        ("GET", "/ui/%2e%2e/runs"),
    ]:
        cookies = "; ".join(f"{name}={value}" for name, value in visitor.client.cookies.items())
        headers = {"Cookie": cookies, "Accept": "*/*"}
        answer = await served.stranger.request(method, path, headers=headers)
        assert answer.status_code in (401, 404), (method, path)
    assert (await visitor.get("runs")).status_code == 200


async def test_logging_out_ends_the_session_for_copies_of_its_cookie_too(
    served: Served, visitor: Visitor
) -> None:
    [(name, value)] = visitor.client.cookies.items()
    left = await visitor.send("logout")
    assert "Log in" in text_in(left)
    assert not visitor.client.cookies
    copy = await served.stranger.get("/ui/runs", headers={"Cookie": f"{name}={value}"})
    assert copy.status_code == 401


async def test_a_session_outlives_the_server(folder: Path) -> None:
    async with serving(folder) as before, visiting(before) as visitor:
        cookies = dict(visitor.client.cookies)
    async with serving(folder) as after:
        after.stranger.cookies.update(cookies)
        assert (await after.stranger.get("/ui/runs", headers=BROWSER)).status_code == 200


async def test_a_form_without_the_proof_of_its_session_changes_nothing(
    served: Served, visitor: Visitor
) -> None:
    for proof in ("", "0" * 64):
        refused = await visitor.send("workflows/nothing", proof=proof)
        assert (refused.status_code, "KSL602" in refused.text) == (403, True)
    async with visiting(served) as other:
        theirs = proof_in(await other.get("runs"))
    assert (await visitor.send("workflows/nothing", proof=theirs)).status_code == 403
    with_token = await served.client.post("/ui/workflows/nothing", data={"ksl:proof": ""})
    assert (with_token.status_code, with_token.json()["code"]) == (403, "KSL602")
    assert (await served.client.get("/runs")).json()["runs"] == []


async def test_no_address_of_the_console_takes_a_form_without_the_proof(
    served: Served, visitor: Visitor
) -> None:
    taking = [
        route.path.removeprefix("/ui/")
        for route in every_route(create_app(served.runtime).routes)
        if route.path.startswith("/ui/") and route.methods == {"POST"} and route.path != "/ui/login"
    ]
    assert len(taking) >= 5
    for path in taking:
        refused = await visitor.send(re.sub(r"\{[a-z_]+\}", "healthz", path) + "?step=x", proof="")
        assert (refused.status_code, "KSL602" in refused.text) == (403, True), path


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain", "application/json", None])
async def test_the_console_takes_nothing_for_a_form_that_does_not_say_so(
    served: Served, visitor: Visitor, kind: str | None
) -> None:
    content = urlencode({"ksl:proof": proof_in(await visitor.get("system"))})
    headers = {} if kind is None else {"Content-Type": kind}
    refused = await visitor.client.post("/ui/workflows/nothing", content=content, headers=headers)
    assert (refused.status_code, "KSL608" in refused.text) == (415, True)
    assert (await served.client.get("/runs")).json()["runs"] == []


@pytest.mark.parametrize("number", [1_001, 100_000])
async def test_a_form_of_very_many_names_is_refused_everywhere(
    served: Served, visitor: Visitor, number: int
) -> None:
    content = "&".join(f"a{each}" for each in range(number))
    headers = {"Content-Type": "application/x-www-form-urlencoded", **BROWSER}
    _, link = await served.asked("approval", {})
    for client, path in (
        (visitor.client, "/ui/workflows/nothing"),
        (served.stranger, "/ui/login"),
        (served.stranger, link),
    ):
        page = await client.post(path, content=content, headers=headers)
        assert (page.status_code, "text/html" in page.headers["content-type"]) == (400, True), path


async def test_a_form_larger_than_the_limit_is_refused_unread(served: Served, visitor: Visitor) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("workflows/nothing", "login"):
        page = await visitor.client.post(f"/ui/{path}", content="a=" + "x" * (10 << 20), headers=headers)
        assert (page.status_code, page.headers["connection"]) == (413, "close")
        assert ("text/html" in page.headers["content-type"], "limits.body" in text_in(page)) == (True, True)
        headers_of_program = headers | {"Accept": "application/json"}
        problem = await visitor.client.post(
            f"/ui/{path}", content="a=" + "x" * (10 << 20), headers=headers_of_program
        )
        assert (problem.status_code, problem.json()["code"]) == (413, "KSL603")


async def test_a_browser_is_told_by_a_page_what_no_page_of_the_console_takes(
    served: Served, visitor: Visitor
) -> None:
    for client, told in ((visitor.client, "Nothing was changed"), (served.stranger, "Log in")):
        long = await client.get("/ui/runs?q=" + "x" * 40_000, headers=BROWSER)
        assert (long.status_code, told in text_in(long), "16 KiB" in text_in(long)) == (431, True, True)
    wrong = await visitor.client.post("/ui/system", content="", headers=BROWSER)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert "POST is not a method of this address" in text_in(wrong)
    for answer in (
        await served.stranger.get("/ui/runs?q=" + "x" * 40_000),
        await served.stranger.get("/runs?q=" + "x" * 40_000, headers=BROWSER),
        await served.stranger.get("/ui/runs?q=" + "x" * 40_000, headers=BROWSER | {"Host": "evil.example"}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (431, "application/problem+json")


@pytest.mark.parametrize(
    "path",
    [
        "//ui/runs",
        "/ui//runs",
        "/ui/./runs",
        "/ui/../runs",
        "/ui/%2e%2e/runs",
        "/ui/assets/../../runs",
        "/ui/assets/%2e%2e%2f%2e%2e%2fruns",
        "/ui/assets/..%2fui%2fpages.py",
        "/ui/login/x%2f..%2f..%2fruns",
        "/ui/runs;x",
        "/UI/runs",
        "/healthz/../ui/runs",
        "/hooks/%2e%2e/ui/runs",
        "/hooks/x%2f..%2f..%2fui/runs",
    ],
)
async def test_no_way_of_writing_an_address_leads_past_the_door(
    served: Served, visitor: Visitor, path: str
) -> None:
    """Written as it is: clients tidy addresses up before they send them."""
    for cookies in ("", "; ".join(f"{name}={value}" for name, value in visitor.client.cookies.items())):
        status, headers, text = await sent_as_is(served, path, cookies)
        assert status in (401, 404), (path, status)
        assert {"content-security-policy", "x-frame-options", "cache-control"} <= headers
        assert "def " not in text


async def sent_as_is(served: Served, path: str, cookies: str) -> tuple[int, set[str], str]:
    host = served.url.removeprefix("http://")
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Accept: text/html", "Connection: close"]
    writer.write("\r\n".join([*lines, f"Cookie: {cookies}", "", ""]).encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    first, *rest = head.split("\r\n")
    return int(first.split(" ")[1]), {line.partition(":")[0].lower() for line in rest}, body


async def test_a_stranger_is_told_nothing_of_the_project(served: Served) -> None:
    await served.asked("approval", {})
    name = served.runtime.folder.name
    for method, path in (
        ("GET", "/ui/assets/nope"),
        ("GET", "/ui/nope"),
        ("GET", "/ui/login/x"),
        ("POST", "/ui/login"),
        ("POST", "/ui/runs/x/cancel"),
    ):
        page = await served.stranger.request(method, path, headers=BROWSER)
        assert page.status_code in (401, 404, 415), path
        assert name not in page.text, path
        assert "waiting" not in page.text, path


async def test_a_page_that_is_not_there_is_a_page(visitor: Visitor) -> None:
    for path in ("nope", "runs/x/y/z", "hooks/run_1"):
        page = await visitor.get(path)
        assert (page.status_code, "text/html" in page.headers["content-type"]) in ((404, True), (400, True))


async def test_every_form_of_a_page_carries_the_proof(served: Served, visitor: Visitor) -> None:
    run_id, _ = await served.asked("approval", {})
    ended = (await served.ended("nothing"))["run_id"]
    paths = ["runs", f"runs/{run_id}", f"runs/{ended}", f"hooks/{run_id}?step=hook%230", "workflows/greeting"]
    for path in paths:
        page = await visitor.get(path)
        forms = re.findall(r'<form[^>]*method="post".*?</form>', page.text, re.DOTALL)
        assert forms
        assert all('name="ksl:proof"' in form for form in forms), path


async def test_behind_https_the_cookie_is_secure_and_has_the_path_of_the_public_url(folder: Path) -> None:
    async with serving(folder, server__public_url="https://ksl.example.com/flows") as served:
        link = await link_of(served)
        assert link.startswith("https://ksl.example.com/flows/ui/login/")
        path = link.removeprefix("https://ksl.example.com/flows")
        page = await served.stranger.get(path, headers={**BROWSER, "Host": "ksl.example.com"})
        cookie = page.headers["set-cookie"].lower()
        assert "path=/flows/ui" in cookie
        assert "secure" in cookie
        local = await served.stranger.post("/ui/login", data={"token": served.runtime.token, "wanted": ""})
        assert "secure" not in local.headers["set-cookie"].lower()


async def test_pages_may_load_and_do_no_more_than_they_need(visitor: Visitor) -> None:
    for path in ("runs", "hooks", "workflows", "workflows/greeting", "triggers", "system", "login"):
        page = await visitor.get(path)
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert {
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        } <= set(policy.split("; "))
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "same-origin"
        assert not re.search(r"<style|\sstyle=|<script>|\son[a-z]+=", page.text), path


async def test_assets_are_kept_by_browsers_and_others_are_not_there(served: Served, visitor: Visitor) -> None:
    page = await visitor.get("runs")
    for address in re.findall(r'(?:href|src)="(\./assets/[^"]+)"', page.text):
        asset = await served.stranger.get(f"/ui/{address.removeprefix('./')}")
        assert asset.status_code == 200
        assert "immutable" in asset.headers["cache-control"]
    assert (await served.stranger.get("/ui/assets/pages.py")).status_code == 404


async def test_the_command_gives_a_link_that_opens_the_console(served: Served, folder: Path) -> None:
    told = await command(folder, "open", "--print", "--url", served.url, token=served.runtime.token)
    assert told.returncode == 0, told.stderr
    opened = await served.stranger.get(json.loads(told.stdout)["url"], headers=BROWSER)
    assert (opened.status_code, "You are logged in" in text_in(opened)) == (200, True)
    refused = await command(folder, "open", "--url", served.url, token="guess")
    assert (refused.returncode, "KSL600" in refused.stderr) == (4, True)


async def test_the_command_says_that_no_server_runs(tmp_path: Path) -> None:
    (tmp_path / "ksl.toml").touch()
    told = await command(tmp_path, "open")
    assert told.returncode == 4
    assert "ksl serve" in told.stderr


async def command(folder: Path, *words: str, token: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KSL_TOKEN": token} if token else dict(os.environ)
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "ksl", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
