"""What whoever uses ksl relies on, asked of a real server over HTTP and by commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conformance.outside import Outside, command, outside

pytestmark = pytest.mark.process

PROJECT = """
import asyncio
import socket
import threading
from datetime import timedelta

from pydantic import BaseModel

from ksl import ActionContext, Context, FatalError, Retry, RetryLater, StepFailed, action, bounded, workflow

class Person(BaseModel):
    name: str = "x"
    n: int = 0

class Verdict(BaseModel):
    ok: bool
    note: str = ""

@action
async def echo(value: str) -> str:
    return value

@action
def boom() -> None:
    raise ValueError("bad")

@action
def fatal() -> None:
    raise FatalError("stop")

@action
async def hollow() -> dict[str, list[object]]:
    return {"items": [1, 2, 3, {"name": float("nan")}]}

@action
def later(ctx: ActionContext) -> int:
    if ctx.attempt < 3:
        raise RetryLater("busy", after="10ms")
    return ctx.attempt

@action(timeout="20ms")
async def slow() -> None:
    await asyncio.sleep(60)

@workflow
async def greeting(input: Person) -> str:
    name = await echo.run(value=input.name)
    return f"Hello, {name}"

@workflow
async def nothing() -> str:
    return "ok"

@workflow
async def ask(ctx: Context) -> str:
    verdict = await ctx.hook(Verdict, name="n", title="Well?", details={"a": 1}, timeout="1h")
    return f"{verdict.ok} {verdict.note}"

@workflow
async def ask_by_get(ctx: Context) -> str:
    verdict = await ctx.hook(Verdict, get="resume")
    return f"{verdict.ok} {verdict.note}"

@workflow
async def ask_anything(ctx: Context) -> object:
    return await ctx.hook()

@workflow
async def parts(ctx: Context) -> list[object]:
    a, b = await asyncio.gather(echo.run(value="a"), echo.run(value="b"))
    many: list[object] = []
    for number in range(2):
        one = await echo.run(value=str(number))
        many.append(one)
    await asyncio.sleep(0.001)
    await ctx.sleep(timedelta(milliseconds=1))
    inner = await greeting.run(name="sub")
    return [a, b, many, inner, ctx.trigger, ctx.attempt, ctx.workflow]

@workflow(retry=Retry(attempts=1))
async def fails() -> None:
    await boom.run()

@workflow(retry=Retry(attempts=1))
async def fails_inside() -> None:
    await fails.run()

@workflow
async def fails_for_good() -> None:
    await fatal.run()

@workflow
async def unencodable() -> object:
    value = await hollow.run()
    return value

@workflow
async def patient() -> int:
    return await later.run()

@workflow
async def catching() -> list[object]:
    try:
        await slow.run()
    except StepFailed as error:
        return [error.type, error.step_id, error.attempts]
    return []

@workflow
async def of_another_type() -> int:
    return "seven"

@workflow
async def connecting() -> None:
    socket.create_connection(("127.0.0.1", 1))

@workflow
async def threading_() -> None:
    threading.Thread(target=print).start()

@workflow
async def to_a_thread() -> None:
    await asyncio.to_thread(print)

@workflow
async def to_a_process() -> None:
    await asyncio.create_subprocess_exec("true")

@workflow
async def tidy(ctx: Context) -> None:
    try:
        await ctx.sleep("1h")
    finally:
        await echo.run(value="tidied")

@workflow
async def sleeper(ctx: Context) -> None:
    await ctx.sleep("1h")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "ksl.toml").touch()
    (folder / "workflows").mkdir()
    (folder / "workflows" / "all.py").write_text(PROJECT)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Outside]:
    with outside(folder) as running:
        yield running


RUN_KEYS = {
    "run_id", "workflow", "status", "trigger", "triggered_at", "started_at", "finished_at", "attempt", "input",
    "output", "error", "subscriber", "code_version", "waiting_on",
}  # fmt: skip


def test_a_start_answers_two_things_and_the_run_has_all_that_is_promised(server: Outside) -> None:
    started = server.owner.post("/workflows/greeting", json={"name": "Ada"})
    assert (started.status_code, set(started.json())) == (202, {"run_id", "status"})
    server.until(started.json()["run_id"], "run_completed")
    run = server.shown(started.json()["run_id"])
    assert set(run) >= RUN_KEYS
    assert (run["status"], run["output"], run["trigger"]) == ("succeeded", "Hello, Ada", "api")


def test_ids_and_events_are_named_by_the_calls_of_the_source(server: Outside) -> None:
    run = server.run("parts")
    assert run["output"] == ["a", "b", ["0", "1"], "Hello, sub", "api", 1, "parts"]
    events = server.events(run["run_id"])
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [(event["type"], event["step"]) for event in events] == [
        ("run_created", None), ("run_started", None),
        ("step_completed", "step:echo#0"), ("step_completed", "step:echo~2#0"),
        ("step_completed", "step:echo~3#0"), ("step_completed", "step:echo~3#1"),
        ("timer_started", "step:timer#0"), ("timer_fired", "step:timer#0"),
        ("sleep_started", "step:sleep#0"), ("sleep_completed", "step:sleep#0"),
        ("step_completed", "step:greeting#0/echo#0"), ("step_completed", "step:greeting#0"),
        ("run_completed", None),
    ]  # fmt: skip


@pytest.mark.parametrize("input", [None, {}])
def test_a_workflow_without_input_takes_none(input: object, server: Outside) -> None:
    assert server.run("nothing", input)["output"] == "ok"


def test_what_does_not_fit_names_the_field_and_makes_no_run(server: Outside) -> None:
    refused = server.owner.post(
        "/workflows/greeting", json={"n": "x"}, headers={"Idempotency-Key": "unused by what is refused"}
    )
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    assert set(refused.json()) >= {"title", "status", "detail", "code", "errors"}
    assert refused.json()["errors"][0]["loc"] == ["n"]
    taken = server.owner.post(
        "/workflows/greeting", json={"n": 1}, headers={"Idempotency-Key": "unused by what is refused"}
    )
    assert taken.status_code == 202


def test_a_key_gives_the_first_run_however_many_ask_at_once(server: Outside) -> None:
    def ask(name: str, key: str = "one") -> httpx.Response:
        return server.owner.post("/workflows/greeting", json={"name": name}, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(ask, ["Ada"] * 16))
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [202]
    assert ask("Bob").status_code == 409
    other = server.owner.post("/workflows/nothing", headers={"Idempotency-Key": "one"})
    assert other.status_code == 202
    assert ask("Ada", "x" * 201).status_code == 400


@pytest.mark.parametrize(
    "body",
    [b"NaN", b'{"n": Infinity}', b"\xef\xbb\xbf{}", b'{"name": "\\ud800"}', b"[" * 201 + b"]" * 201, b"{"],
)
def test_what_is_not_strict_json_is_refused(body: bytes, server: Outside) -> None:
    answer = server.owner.post(
        "/workflows/greeting", content=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "KSL604")


def test_only_health_is_told_to_strangers(server: Outside) -> None:
    paths = [
        "/runs",
        "/workflows",
        "/hooks",
        "/stream",
        "/metrics",
        "/openapi.json",
        "/triggers",
        "/sessions",
    ]
    assert {server.stranger.get(path).status_code for path in [*paths, "/subscriptions"]} == {401}
    assert {server.stranger.get(path).status_code for path in ("/healthz", "/readyz")} == {200}
    assert server.owner.get("/runs", headers={"Host": "evil.example"}).status_code == 403
    foreign = {"Origin": "https://evil.example"}
    assert server.owner.post("/workflows/nothing", headers=foreign).status_code == 403
    assert "access-control-allow-origin" not in server.owner.get("/runs", headers=foreign).headers


def test_a_hook_is_answered_once_and_only_by_who_means_it(server: Outside) -> None:
    run_id, link = server.asked("ask")
    for method in ("HEAD", "OPTIONS"):
        server.stranger.request(method, f"{link}?ok=yes")
    for headers in ({"Accept": "text/html"}, {"Sec-Purpose": "prefetch"}):
        page = server.stranger.get(f"{link}?ok=yes", headers=headers)
        assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
    assert server.stranger.post(link, json={"ok": "perhaps"}).status_code == 422
    assert server.stranger.post(f"{link}x", json={"ok": True}).status_code == 404
    assert server.shown(run_id)["status"] == "waiting"

    def answer(number: int) -> int:
        return server.stranger.post(link, json={"ok": True, "note": str(number)}).status_code

    with ThreadPoolExecutor(8) as callers:
        assert sorted(callers.map(answer, range(8))) == [200] + [409] * 7
    server.until(run_id, "run_completed")
    assert server.stranger.post(link, json={"ok": False}).status_code == 409


def test_a_link_that_resumes_by_get_reads_its_query_leniently(server: Outside) -> None:
    run_id, link = server.asked("ask-by-get")
    assert server.stranger.get(f"{link}?ok=no&note=hi", headers={"Accept": "text/html"}).status_code == 200
    server.until(run_id, "run_completed")
    assert server.shown(run_id)["output"] == "False hi"


def test_an_empty_body_is_null_and_a_rejection_ends_the_run_with_its_reason(server: Outside) -> None:
    run_id, link = server.asked("ask-anything")
    assert server.stranger.post(link).status_code == 200
    server.until(run_id, "run_completed")
    assert server.shown(run_id)["output"] is None

    run_id, link = server.asked("ask-anything")
    assert server.stranger.post(f"{link}/reject", json={"reason": "no way"}).status_code == 200
    server.until(run_id, "run_failed")
    run = server.shown(run_id)
    assert (run["error"]["type"], run["attempt"]) == ("HookRejected", 1)
    assert "no way" in run["error"]["message"]


def test_a_cancelled_run_closes_its_hook_and_a_second_cancel_changes_nothing(server: Outside) -> None:
    run_id, link = server.asked("ask")
    assert server.owner.post(f"/runs/{run_id}/cancel").status_code == 202
    server.until(run_id, "run_cancelled")
    assert server.stranger.post(link, json={"ok": True}).status_code == 410
    before = server.events(run_id)
    assert server.owner.post(f"/runs/{run_id}/cancel").status_code == 202
    assert server.events(run_id) == before
    assert server.owner.post(f"/runs/{run_id}/retry").status_code == 409


@pytest.mark.parametrize(("force", "tidied"), [(False, 1), (True, 0)])
def test_a_cancelled_run_tidies_up_unless_forced(force: bool, tidied: int, server: Outside) -> None:
    run_id = server.start("tidy")
    server.until(run_id, "sleep_started")
    server.owner.post(f"/runs/{run_id}/cancel", json={"force": force})
    server.until(run_id, "run_cancelled")
    steps = [event["step"] for event in server.events(run_id) if event["type"] == "step_completed"]
    assert steps == ["step:echo#0"] * tidied


def test_a_failed_run_tells_where_and_a_retry_reopens_that_step_alone(server: Outside) -> None:
    run = server.run("fails")
    assert set(run["error"]) >= {"type", "message", "step", "attempts", "traceback"}
    assert (run["error"]["step"], run["error"]["attempts"], run["attempt"]) == ("boom#0", 1, 1)
    assert server.owner.post(f"/runs/{run['run_id']}/retry").status_code == 202
    answer = server.owner.get(f"/runs/{run['run_id']}/stream").text
    assert '"run_retrying"' in answer
    again = server.shown(run["run_id"])
    assert (again["attempt"], again["error"]["attempts"], again["trigger"]) == (2, 2, "api")
    [retrying] = [event for event in server.events(run["run_id"]) if event["type"] == "run_retrying"]
    assert retrying["data"]["reopened"] == ["boom#0"]


def test_failures_say_what_they_are(server: Outside) -> None:
    inside = server.run("fails-inside")["error"]
    assert (inside["step"], inside["type"], inside["message"]) == ("fails#0", "ValueError", "bad")
    assert inside["cause"]["step"].endswith("boom#0")
    final = server.run("fails-for-good")
    assert (final["error"]["type"], final["attempt"]) == ("FatalError", 1)
    assert "output.items[3].name" in server.run("unencodable")["error"]["message"]
    assert server.run("of-another-type")["attempt"] == 1
    assert server.run("catching")["output"] == ["TimeoutError", "slow#0", 1]
    assert server.run("patient")["output"] == 3


@pytest.mark.parametrize("workflow", ["connecting", "threading", "to-a-thread", "to-a-process"])
def test_io_in_a_body_is_refused_with_its_line_and_the_way_out(workflow: str, server: Outside) -> None:
    error = server.run(workflow)["error"]
    assert error["code"] == "KSL405"
    assert "workflows/all.py:" in error["message"]
    assert "action" in error["message"]


def test_a_stream_goes_on_after_the_last_event_that_was_seen(server: Outside) -> None:
    run = server.run("greeting", {})
    text = server.owner.get(f"/runs/{run['run_id']}/stream", headers={"Last-Event-ID": "2"}).text
    assert [line for line in text.splitlines() if line.startswith("id:")] == ["id: 3", "id: 4"]


def test_lists_are_paged_by_their_cursor(server: Outside) -> None:
    made = [server.run("nothing")["run_id"] for _ in range(3)]
    first = server.owner.get("/runs", params={"workflow": "nothing", "limit": 2}).json()
    second = server.owner.get(
        "/runs", params={"workflow": "nothing", "limit": 2, "cursor": first["next_cursor"]}
    ).json()
    assert [run["run_id"] for run in first["runs"] + second["runs"]][:3] == made[::-1]
    for query in ("status=nope", "cursor=nope", "limit=0", "since=nope"):
        assert server.owner.get(f"/runs?{query}").status_code == 400


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("workflows run greeting --input {}", 0),
        ('workflows run greeting --input {"n":"x"}', 1),
        ("workflows run fails", 1),
        ("workflows run greetin", 2),
        ("workflows run nothing --sideways", 2),
        ("workflows run ask", 3),
        ("workflows run sleeper --wait-for 100ms", 3),
        ("--url http://127.0.0.1:9 runs list", 4),
        ("serve --port 0", 4),
    ],
)
def test_an_exit_code_says_how_it_went(line: str, code: int, server: Outside) -> None:
    done = server.command(*line.split())
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code in (0, 3):
        assert json.loads(done.stdout)["status"] in ("succeeded", "waiting", "sleeping")


def test_a_run_is_printed_with_three_things(server: Outside) -> None:
    done = server.command("workflows", "run", "greeting", "--input", '{"name": "Ada"}')
    printed = json.loads(done.stdout)
    assert printed == {"run_id": printed["run_id"], "status": "succeeded", "output": "Hello, Ada"}


def test_outside_a_project_nothing_is_served(tmp_path: Path) -> None:
    done = command(tmp_path, "serve")
    assert (done.returncode, done.stderr[:6]) == (2, "KSL203")
