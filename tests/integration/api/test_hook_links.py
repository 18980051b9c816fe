"""Links of hooks, as programs and browsers open them."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from pathlib import Path

import httpx
import pytest

from ksl.errors import StoreFull

from tests.integration.api.serving import Served, serving

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "null", **BROWSER}


def proof_in(page: httpx.Response) -> str:
    found = re.search(r'name="ksl:proof" value="([0-9a-f]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def text_in(page: httpx.Response) -> str:
    body = re.sub(r"<style>.*?</style>", "", page.text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def is_open(served: Served) -> bool:
    return bool((await served.client.get("/hooks")).json()["hooks"])


# --- programs


async def test_a_program_answers_with_json_and_no_token_but_the_links(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    answer = await served.stranger.post(link, json={"approved": True, "level": "high"})
    assert answer.status_code == 200
    assert answer.json()["status"] == "resumed"
    assert run_id not in answer.text
    assert (await served.settled(run_id))["output"] == {"approved": True, "level": "high", "note": ""}


async def test_an_empty_body_is_the_payload_null(served: Served) -> None:
    run_id, link = await served.asked("question")
    assert (await served.stranger.post(link)).status_code == 200
    run = await served.settled(run_id)
    assert (run["status"], run["output"]) == ("succeeded", None)


async def test_a_second_answer_is_409_and_changes_nothing(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    await served.stranger.post(link, json={"approved": True})
    second = await served.stranger.post(link, json={"approved": False})
    assert (second.status_code, second.json()["code"]) == (409, "KSL421")
    assert run_id not in second.text  # whoever has the link need not know the run
    assert (await served.stranger.post(f"{link}/reject")).status_code == 409
    assert (await served.settled(run_id))["output"]["approved"] is True


async def test_of_many_answers_at_once_one_wins(served: Served) -> None:
    _, link = await served.asked("approval", {})
    answers = await asyncio.gather(*(served.stranger.post(link, json={"approved": True}) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19


async def test_a_link_is_rejected_with_a_reason(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    answer = await served.stranger.post(f"{link}/reject", json={"reason": "too early"})
    assert (answer.status_code, answer.json()["status"]) == (200, "rejected")
    assert "too early" in (await served.settled(run_id))["error"]["message"]


async def test_an_unknown_link_is_404(served: Served) -> None:
    for method, link in [
        ("GET", "/hooks/x"),
        ("POST", "/hooks/x"),
        ("POST", "/hooks/x/reject"),
        ("HEAD", "/hooks/x"),
    ]:
        assert (await served.stranger.request(method, link)).status_code == 404


async def test_a_link_whose_run_has_ended_is_410(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    await served.client.post(f"/runs/{run_id}/cancel")
    await served.settled(run_id)
    answer = await served.stranger.post(link, json={"approved": True})
    assert (answer.status_code, answer.json()["code"]) == (410, "KSL422")
    assert (await served.stranger.head(link)).status_code == 410
    assert (await served.stranger.get(link, headers=BROWSER)).status_code == 410


async def test_expired_is_told_from_answered_while_the_run_goes_on_and_after_its_end(served: Served) -> None:
    run_id = await served.start("lapsing")
    links: list[str] = []
    while len(links) < 2:
        listed = [row for row in await served.runtime.store.hooks(only_open=False) if row.run_id == run_id]
        links = [str(served.runtime.hook_url(row)).removeprefix(served.url) for row in listed]
    first, second = links
    while "hook_expired" not in [event["type"] for event in (await served.run(run_id, "events"))["events"]]:
        pass

    async def answered(link: str) -> tuple[int, str | None]:
        answer = await served.stranger.post(link, json="yes")
        assert run_id not in answer.text
        return answer.status_code, answer.json().get("code")

    assert await answered(first) == (410, "KSL422")
    assert (await served.run(run_id))["status"] == "waiting"
    assert await answered(second) == (200, None)
    assert (await served.settled(run_id))["output"] == "yes"
    assert await answered(first) == (410, "KSL422")
    assert await answered(second) == (409, "KSL421")
    rejected, link = await served.asked("approval", {})
    assert (await served.stranger.post(f"{link}/reject", json={"reason": "no"})).status_code == 200
    await served.settled(rejected)
    assert await answered(link) == (409, "KSL421")


async def test_a_payload_that_does_not_fit_is_422_and_the_hook_keeps_waiting(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    answer = await served.stranger.post(link, json={"approved": "perhaps"})
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert (await served.run(run_id))["status"] == "waiting"
    assert await is_open(served)


async def test_a_body_of_another_kind_is_415(served: Served) -> None:
    _, link = await served.asked("approval", {})
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await served.stranger.post(link, content=b"x", headers=headers)).status_code == 415


async def test_a_program_may_answer_with_a_get_and_a_query(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    answer = await served.stranger.get(f"{link}?approved=true&level=high")
    assert (answer.status_code, answer.json()["status"]) == (200, "resumed")
    assert (await served.settled(run_id))["output"] == {"approved": True, "level": "high", "note": ""}


async def test_head_and_options_never_answer(served: Served) -> None:
    for get in ("auto", "resume", "confirm"):
        _, link = await served.asked("approval", {"get": get})
        for method, status in (("HEAD", 200), ("OPTIONS", 204)):
            answer = await served.stranger.request(method, f"{link}?approved=true")
            assert (answer.status_code, answer.content) == (status, b"")
        assert (await served.stranger.request("OPTIONS", f"{link}/reject")).status_code == 204
    assert len((await served.client.get("/hooks")).json()["hooks"]) == 3


# --- browsers


@pytest.mark.parametrize(
    "headers",
    [
        BROWSER,
        {"Accept": "*/*", "Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"X-Moz": "prefetch"},
        {"X-Purpose": "preview"},
    ],
)
async def test_a_browser_or_a_prefetch_gets_the_page_and_answers_nothing(
    served: Served, headers: dict[str, str]
) -> None:
    _, link = await served.asked("approval", {})
    page = await served.stranger.get(f"{link}?approved=true", headers=headers)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert await is_open(served)


async def test_a_hook_that_wants_a_confirmation_shows_the_page_to_programs_too(served: Served) -> None:
    _, link = await served.asked("approval", {"get": "confirm"})
    page = await served.stranger.get(f"{link}?approved=true")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert await is_open(served)


async def test_a_hook_that_resumes_on_get_does_so_for_browsers_too(served: Served) -> None:
    run_id, link = await served.asked("approval", {"get": "resume"})
    page = await served.stranger.get(f"{link}?approved=true", headers=BROWSER)
    assert page.status_code == 200
    assert "Answered" in text_in(page)
    assert (await served.settled(run_id))["output"]["approved"] is True


async def test_the_page_shows_the_question_and_nothing_of_the_run(served: Served) -> None:
    run_id, link = await served.asked("approval", {"secret": "s3cret"})
    page = await served.stranger.get(link, headers=BROWSER)
    shown = text_in(page)
    assert "Ship it?" in shown
    assert "Asked by approval" in shown
    assert "1.2 <b>" in shown
    assert "<b>" not in page.text
    assert run_id not in page.text
    assert "s3cret" not in page.text
    assert "<script" not in page.text


async def test_the_page_chooses_nothing_beforehand_but_fills_in_what_the_link_says(served: Served) -> None:
    _, link = await served.asked("approval", {})
    plain = (await served.stranger.get(link, headers=BROWSER)).text
    assert not re.search(r"<input[^>]* checked", plain)
    filled = (
        await served.stranger.get(f"{link}?approved=true&note=fine&ksl:decision=answer", headers=BROWSER)
    ).text
    chosen = re.findall(r'<input[^>]*name="([^"]+)" value="([^"]*)"[^>]* checked', filled)
    assert chosen == [("approved", "true")]
    assert 'name="note" value="fine"' in filled


async def test_the_page_may_not_be_kept_framed_or_followed(served: Served) -> None:
    _, link = await served.asked("approval", {})
    page = await served.stranger.get(link, headers=BROWSER)
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"
    assert "noindex" in page.headers["x-robots-tag"]
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    cookie = page.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert f"path={link}".lower() in cookie


async def test_behind_https_the_cookie_is_secure_and_has_the_path_of_the_public_url(folder: Path) -> None:
    async with serving(folder, server__public_url="https://ksl.example.com/flows") as served:
        run_id = await served.start("approval", {})
        await served.runtime.settled(run_id, timeout_s=20, waits=True)
        [hook] = (await served.client.get("/hooks")).json()["hooks"]
        link = hook["url"].removeprefix("https://ksl.example.com/flows")
        page = await served.stranger.get(link, headers={**BROWSER, "Host": "ksl.example.com"})
        assert "secure" in page.headers["set-cookie"].lower()
        assert f"path=/flows{link}".lower() in page.headers["set-cookie"].lower()


async def test_the_life_of_a_link_between_scanners_and_people(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    scanner = served.stranger
    assert (await scanner.head(link)).status_code == 200
    for _ in range(3):
        page = await scanner.get(link, headers=BROWSER)
        assert page.status_code == 200

    # sent blindly: from a page of another site, or by a script that never opened ours
    scanner.cookies.clear()
    blind = await scanner.post(link, content="ksl:decision=answer&approved=true", headers=FORM)
    assert blind.status_code == 403

    # a robot that opens the page and presses the button
    page = await scanner.get(link, headers=BROWSER)
    untouched = {"ksl:proof": proof_in(page), "note": "", "ksl:reason": "", "ksl:by": ""}
    pressed = await scanner.post(link, data=untouched, headers=FORM)
    assert pressed.status_code == 422
    assert "Choose whether" in text_in(pressed)
    assert await is_open(served)

    # a person, at first with a gap
    gap = await scanner.post(link, data={**untouched, "ksl:decision": "answer", "note": "ok"}, headers=FORM)
    assert gap.status_code == 422
    assert 'value="ok"' in gap.text
    assert re.search(r'value="answer"[^>]* checked', gap.text)
    filled = {**untouched, "ksl:decision": "answer", "approved": "true", "note": "ok", "ksl:by": "Ada"}
    filled["ksl:proof"] = proof_in(gap)
    sent = await scanner.post(link, data=filled, headers=FORM)
    assert sent.status_code == 200
    assert "Answered by Ada" in text_in(sent)
    assert (await served.settled(run_id))["output"] == {"approved": True, "level": "low", "note": "ok"}

    double_click = await scanner.post(link, data=filled, headers=FORM)
    assert double_click.status_code == 200
    conflicting = await scanner.post(link, data={**filled, "approved": "false"}, headers=FORM)
    assert conflicting.status_code == 409
    assert "Answered by Ada" in text_in(conflicting)
    later = await scanner.get(link, headers=BROWSER)
    assert (later.status_code, "Answered by Ada" in text_in(later)) == (200, True)


async def test_what_is_wrong_stands_at_its_field_and_what_was_written_stays(served: Served) -> None:
    _, link = await served.asked("shipment")
    page = await served.stranger.get(link, headers=BROWSER)
    assert re.search(r'<input id="field-1"[^>]* required', page.text)
    assert "Address › </span><bdi>Street" in page.text
    sent = {
        "ksl:proof": proof_in(page),
        "ksl:decision": "answer",
        "address.street": "Main <b>",
        "lines": '[{"sku": "a", "count": "x"}]',
    }
    wrong = await served.stranger.post(link, data=sent, headers=FORM)
    assert wrong.status_code == 422
    assert "<title>Not sent yet: " in wrong.text
    assert 'value="Main &lt;b&gt;"' in wrong.text
    assert "[{&#34;sku&#34;: &#34;a&#34;" in wrong.text
    assert "0.count: Input should be a valid integer" in text_in(wrong)
    invalid = re.findall(r'<(?:input|textarea|fieldset)[^>]*aria-invalid="true"[^>]*>', wrong.text)
    assert len(invalid) == 3  # the zip code, the lines, the way to pay
    listed = re.findall(r'<li><a href="#(field-\d+)">', wrong.text)
    assert len(listed) == 3
    assert all(f'id="{each}"' in wrong.text for each in listed)


async def test_choices_and_labels_of_a_schema_are_cut_and_escaped(served: Served) -> None:
    _, link = await served.asked("nasty-schema")
    page = await served.stranger.get(link, headers=BROWSER)
    assert (page.status_code, len(page.content) < 60_000) == (200, True)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|<b onclick", page.text)


async def test_a_person_rejects_with_a_reason(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    page = await served.stranger.get(link, headers=BROWSER)
    sent = {"ksl:proof": proof_in(page), "ksl:decision": "reject", "ksl:reason": "too early", "ksl:by": ""}
    answer = await served.stranger.post(link, data=sent, headers=FORM)
    assert answer.status_code == 200
    assert "too early" in text_in(answer)
    assert "too early" in (await served.settled(run_id))["error"]["message"]
    assert (await served.stranger.post(link, data=sent, headers=FORM)).status_code == 200


async def test_a_question_without_a_schema_takes_plain_text(served: Served) -> None:
    run_id, link = await served.asked("question")
    page = await served.stranger.get(link, headers=BROWSER)
    sent = {"ksl:proof": proof_in(page), "ksl:decision": "answer", "value": "Sell everything."}
    assert (await served.stranger.post(link, data=sent, headers=FORM)).status_code == 200
    assert (await served.settled(run_id))["output"] == "Sell everything."


async def test_two_tabs_of_one_browser_do_not_spoil_each_other(served: Served) -> None:
    _, link = await served.asked("question")
    first = await served.stranger.get(link, headers=BROWSER)
    await served.stranger.get(link, headers=BROWSER)
    sent = {"ksl:proof": proof_in(first), "ksl:decision": "answer", "value": "1"}
    assert (await served.stranger.post(link, data=sent, headers=FORM)).status_code == 200


async def test_an_unknown_link_has_a_page_for_people(served: Served) -> None:
    page = await served.stranger.get("/hooks/x", headers=BROWSER)
    assert page.status_code == 404
    assert "Nothing waits here" in text_in(page)


async def test_a_person_whose_answer_cannot_be_stored_is_told_so_and_nothing_of_the_server(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, link = await served.asked("approval", {})
    page = await served.stranger.get(link, headers=BROWSER)
    sent = {"ksl:proof": proof_in(page), "ksl:decision": "answer", "approved": "true"}

    async def full(*_: object, **__: object) -> None:
        raise StoreFull("the disk that holds /home/ada/.ksl is full. Free some space.")

    with monkeypatch.context() as patched:
        patched.setattr(served.runtime, "resume", full)
        failed = await served.stranger.post(link, data=sent, headers=FORM)
        assert (failed.status_code, "Nothing was recorded" in text_in(failed)) == (503, True)
        assert "/home/ada" not in failed.text
    assert (await served.stranger.post(link, data=sent, headers=FORM)).status_code == 200


async def test_a_link_outlives_the_server(folder: Path) -> None:
    async with serving(folder) as before:
        run_id, link = await before.asked("approval", {})
        page = await before.stranger.get(link, headers=BROWSER)
        cookies = dict(before.stranger.cookies)
    async with serving(folder) as after:
        after.stranger.cookies.update(cookies)
        sent = {"ksl:proof": proof_in(page), "ksl:decision": "answer", "approved": "true"}
        assert (await after.stranger.post(link, data=sent, headers=FORM)).status_code == 200
        assert (await after.settled(run_id))["output"]["approved"] is True


async def test_the_page_shows_what_authors_pass_escaped_cut_and_turning_nothing_round(served: Served) -> None:
    nasty = '</title><b onclick="x">\x1b[31m\u202eltr\u2066' + "x" * 1_000_000
    run_id, link = await served.asked("loud", {"text": nasty})
    pages = [await served.stranger.get(link, headers=BROWSER)]
    sent = {
        "ksl:proof": proof_in(pages[0]),
        "ksl:decision": "answer",
        "value": nasty[:100_000],
        "ksl:by": nasty[:90],
    }
    pages.append(await served.stranger.post(link, data=sent, headers=FORM))
    for page in pages:
        assert page.status_code == 200
        assert "<b onclick" not in page.text
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page.text)
        assert len(page.content) < 200_000
    assert (await served.settled(run_id))["output"] == nasty[:100_000]
