"""Pausing, releasing, forking, and runs by filter: on an engine in the command, and by the bytes to a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli

from tests.integration.cli.conftest import TinyServer, run_json

Json = dict[str, Any]

FLOWS = """\
from pathlib import Path

from ksl import Context, Retry, action, workflow


@action
async def note(text: str) -> str:
    with Path(__file__).with_name("ledger").open("a") as file:
        file.write(text + "\\n")
    return text


@action
async def refuse() -> None:
    if not Path(__file__).with_name("allowed").exists():
        raise ValueError("not today")


@workflow
async def letter(input: str, ctx: Context) -> str:
    greeting = await note.run(text=f"Dear_{input}")
    body = await note.run(text="text")
    return f"{greeting} {body}"


@workflow
async def asks(ctx: Context) -> str:
    await note.run(text="before")
    try:
        answer = await ctx.hook()
        return str(answer)
    finally:
        await note.run(text="clean-up")


@workflow(retry=Retry(attempts=1))
async def fails() -> str:
    await refuse.run()
    return await note.run(text="at-last")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n')
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "flows.py").write_text(FLOWS)
    monkeypatch.delenv("KSL_URL", raising=False)
    monkeypatch.delenv("KSL_TOKEN", raising=False)
    return tmp_path


def ksl(folder: Path, *args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args], input=stdin, catch_exceptions=False)


def answer(folder: Path, *args: str, code: int = 0) -> Json:
    done = ksl(folder, *args)
    assert done.exit_code == code, done.stderr
    parsed: Json = json.loads(done.stdout)
    return parsed


def begun(folder: Path, slug: str, *args: str, code: int) -> str:
    run_id: str = answer(folder, "workflows", "run", slug, *args, code=code)["run_id"]
    return run_id


def ledger(folder: Path) -> list[str]:
    file = folder / "workflows" / "ledger"
    return file.read_text().split() if file.exists() else []


def test_a_paused_run_is_held_and_done_for_the_command(project: Path):
    run_id = begun(project, "asks", code=3)
    paused = answer(project, "runs", "pause", run_id, "--reason", "wait a bit")
    assert (paused["status"], paused["error"]["message"]) == ("held", "wait a bit")
    refused = ksl(project, "hooks", "resume", run_id, "--data", "1")
    assert (refused.exit_code, "held" in refused.stderr) == (1, True)
    again = ksl(project, "runs", "pause", run_id)
    assert (again.exit_code, "KSL409" in again.stderr) == (1, True)
    assert answer(project, "runs", "release", run_id, code=3)["status"] == "waiting"
    assert answer(project, "hooks", "resume", run_id, "--data", '"yes"')["output"] == "yes"
    assert ledger(project) == ["before", "clean-up"]


def test_a_forced_cancel_skips_the_clean_up(project: Path):
    gentle, forced = (begun(project, "asks", code=3) for _ in range(2))
    assert answer(project, "runs", "cancel", gentle)["status"] == "cancelled"
    assert answer(project, "runs", "cancel", forced, "--force", "--reason", "now")["status"] == "cancelled"
    assert ledger(project) == ["before", "before", "clean-up"]
    events = answer(project, "runs", "show", forced, "--include", "events")["events"]
    [asked] = [event for event in events if event["type"] == "run_cancel_requested"]
    assert asked["data"] == {"reason": "now", "by": "cli"}


def test_a_fork_runs_again_from_its_step_on_and_prints_the_new_run(project: Path):
    run_id = begun(project, "letter", "--input", '"Ada"', code=0)
    fork = answer(project, "runs", "fork", run_id, "--at", "note~2#0")
    assert (fork["output"], fork["forked_from"], fork["input"]) == ("Dear_Ada text", run_id, "Ada")
    assert ledger(project) == ["Dear_Ada", "text", "text"]
    changed = answer(
        project,
        "runs",
        "fork",
        run_id,
        "--at",
        "note~2#0",
        "--set",
        'note#0="Hi"',
        "--set",
        'note~2#0="there"',
    )
    assert (changed["output"], len(ledger(project))) == ("Hi there", 3)
    anew = answer(project, "runs", "fork", run_id, "--at", "note#0", "--input", '"Bob"')
    assert anew["output"] == "Dear_Bob text"
    shown = answer(project, "runs", "show", run_id)
    assert shown["forks"] == [each["run_id"] for each in (anew, changed, fork)]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        ((), 2, "--at"),
        (("--at", "note#9"), 2, "note#9"),
        (("--at", "note#0", "--set", "note#0"), 2, "STEP=JSON"),
        (("--at", "note#0", "--set", "note#0=NaN"), 2, "KSL604"),
        (("--at", "note#0", "--input", "1"), 1, "KSL407"),
    ],
)
def test_a_fork_that_cannot_be_says_why(args: tuple[str, ...], code: int, says: str, project: Path):
    run_id = begun(project, "letter", "--input", '"Ada"', code=0)
    done = ksl(project, "runs", "fork", run_id, *args)
    assert (done.exit_code, done.stdout) == (code, "")
    assert says in done.stderr
    assert len(answer(project, "runs", "list")["runs"]) == 1


def test_many_runs_are_changed_once_somebody_says_yes(project: Path, monkeypatch: pytest.MonkeyPatch):
    failed = [begun(project, "fails", code=1) for _ in range(3)]
    (project / "workflows" / "allowed").touch()
    filtered = ("runs", "retry", "--status", "failed", "--workflow", "fails", "--since", "1h")
    refused = ksl(project, *filtered)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "3 runs match" in refused.stderr
    assert "--yes" in refused.stderr
    monkeypatch.setattr("ksl.cli.bulk.somebody_is_there", lambda: True)
    said_no = ksl(project, *filtered, stdin="n\n")
    assert (said_no.exit_code, said_no.stdout) == (1, "")
    assert said_no.stderr == "Retry 3 runs? [y/N]: n\nNothing was done.\n"
    assert {run["status"] for run in answer(project, "runs", "list")["runs"]} == {"failed"}
    done = ksl(project, *filtered, stdin="y\n")
    assert json.loads(done.stdout) == {"matched": 3, "changed": 3, "errors": []}
    assert "ksl serve" in done.stderr
    assert ledger(project) == []
    for run_id in failed:
        assert answer(project, "runs", "show", run_id)["status"] == "queued"
    assert answer(project, *filtered, "--yes") == {"matched": 0, "changed": 0, "errors": []}


def test_many_runs_are_paused_released_and_cancelled(project: Path):
    waiting = [begun(project, "asks", code=3) for _ in range(2)]
    done = begun(project, "letter", "--input", '"Ada"', code=0)
    for verb, status in (("pause", "held"), ("release", "waiting"), ("pause", "held")):
        assert answer(project, "runs", verb, "--since", "1h", "--yes")["changed"] == 2
        assert {answer(project, "runs", "show", each)["status"] for each in waiting} == {status}
    options = ("--workflow", "asks", "--yes", "--force")
    assert answer(project, "runs", "cancel", *options)["changed"] == 2
    assert {answer(project, "runs", "show", each)["status"] for each in waiting} == {"cancelled"}
    assert answer(project, "runs", "show", done)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("retry",), "--workflow"),
        (("retry", "run_1", "--status", "failed"), "not both"),
        (("release", "--status", "failed", "--yes"), "release takes held"),
        (("pause", "--status", "paused", "--yes"), "paused"),
    ],
)
def test_runs_that_are_not_clearly_meant_are_a_usage_error(args: tuple[str, ...], says: str, project: Path):
    begun(project, "fails", code=1)
    done = ksl(project, "runs", *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_a_filter_before_anything_was_run_matches_nothing(project: Path):
    assert answer(project, "runs", "retry", "--status", "failed", "--yes")["matched"] == 0
    assert not (project / ".ksl").exists()


# With a server.


def remote(*args: str) -> Result:
    return CliRunner().invoke(cli, args, catch_exceptions=False)


def test_operations_on_one_run_are_asked_of_the_server(tiny: TinyServer):
    accepted = (202, {"run_id": "run_1", "status": "held"})
    tiny.answers |= {f"POST /runs/run_1/{verb}": accepted for verb in ("pause", "release")}
    tiny.answers |= {
        "POST /runs/run_1/fork": (202, {"run_id": "run_2", "status": "running"}),
        "GET /runs/run_1": (200, run_json("held")),
        "GET /runs/run_2": (200, run_json("running", run_id="run_2")),
    }
    assert remote("runs", "pause", "run_1", "--reason", "later").exit_code == 0
    assert remote("runs", "release", "run_1", "--accept-drift").exit_code == 0
    fork = remote("runs", "fork", "run_1", "--at", "b#0", "--set", 'a#0={"n": 1.0}', "--input", "[ ]")
    assert json.loads(fork.stdout)["run_id"] == "run_2"
    assert remote("runs", "fork", "run_1", "--at", "b#0").exit_code == 0
    assert [each.body for each in tiny.said if each.method == "POST"] == [
        b'{"reason":"later"}',
        b'{"accept_drift":true}',
        b'{"at": "b#0", "set": {"a#0": {"n": 1.0}}, "input": [ ]}',
        b'{"at": "b#0", "set": {}}',
    ]


def test_what_is_not_one_json_value_is_not_sent_as_one(tiny: TinyServer):
    done = remote("runs", "fork", "run_1", "--at", "b#0", "--set", 'a#0=1, "b#0": 2')
    assert (done.exit_code, "KSL604" in done.stderr, tiny.said) == (2, True, [])


def test_many_runs_are_counted_by_the_server_and_changed_page_by_page(tiny: TinyServer):
    moment = "2026-11-21T10:00:00.000Z"
    refusal = {"run_id": "run_2", "code": "KSL409", "detail": "run run_2 is running."}
    tiny.answers["POST /runs/cancel"] = [
        (200, {"matched": 3, "changed": 0, "errors": [], "next_cursor": None, "since": moment}),
        (200, {"matched": 3, "changed": 1, "errors": [refusal], "next_cursor": "c1", "since": moment}),
        (200, {"matched": None, "changed": 1, "errors": [], "next_cursor": None, "since": moment}),
    ]
    done = remote("runs", "cancel", "--workflow", "w", "--since", "2h", "--yes", "--reason", "over")
    assert json.loads(done.stdout) == {"matched": 3, "changed": 2, "errors": [refusal]}
    assert (done.exit_code, "KSL409 run run_2 is running." in done.stderr) == (1, True)
    assert [each.path for each in tiny.said] == [
        "/runs/cancel?workflow=w&since=2h&dry_run=true",
        "/runs/cancel?workflow=w&since=2026-11-21T10%3A00%3A00.000Z",
        "/runs/cancel?workflow=w&since=2026-11-21T10%3A00%3A00.000Z&cursor=c1",
    ]
    assert [json.loads(each.body or b"{}") for each in tiny.said] == [
        {},
        {"confirm": 3, "reason": "over", "force": False},
        {"confirm": 1, "reason": "over", "force": False},
    ]


def test_when_more_match_by_then_the_command_says_so(tiny: TinyServer):
    tiny.answers["POST /runs/retry"] = [
        (200, {"matched": 1, "changed": 0, "errors": [], "next_cursor": None, "since": None}),
        (409, {"code": "KSL409", "detail": "2 runs match, more than the 1 that were confirmed."}),
    ]
    done = remote("runs", "retry", "--status", "failed", "--yes")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "2 runs match" in done.stderr
