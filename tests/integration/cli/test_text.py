"""What a person at a terminal sees of a server's answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ksl.cli.app import cli
from ksl.cli.invocation import Invocation

from tests.integration.cli.conftest import TinyServer, event_json, run_json, stream


@pytest.fixture(autouse=True)
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Invocation, "prints_json", property(lambda invocation: invocation.as_json))
    monkeypatch.setenv("COLUMNS", "110")


def ksl(*args: str) -> str:
    done = CliRunner().invoke(cli, args, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_runs_are_a_table(tiny: TinyServer):
    finished = run_json("succeeded", finished_at="2026-11-21T12:00:01.500Z")
    tiny.answers["GET /runs"] = (200, {"runs": [finished, run_json("waiting")], "next_cursor": None})
    assert ksl("runs", "list").splitlines() == [
        "RUN    WORKFLOW  STATUS           TRIGGERED                 TOOK  NOW AT",
        "run_1  greeting  Success          2026-11-21T12:00:00.000Z  1.5s",
        "run_1  greeting  Waiting on hook  2026-11-21T12:00:00.000Z",
    ]
    assert ksl("runs", "list", "--json").startswith('{"runs": [')


def test_on_a_narrow_terminal_a_run_keeps_its_state(tiny: TinyServer, monkeypatch: pytest.MonkeyPatch):
    runs = [
        run_json("waiting", run_id="run_01m810dj5kkth8rzc9q5", workflow="publish-with-approval"),
        run_json("failed", run_id="run_01m810era4qcq8z9rn9s", error={"type": "ValueError", "message": "no"}),
    ]
    tiny.answers["GET /runs"] = (200, {"runs": runs, "next_cursor": None})
    monkeypatch.setenv("COLUMNS", "40")
    assert ksl("runs", "list").splitlines() == [
        "RUN                       STATUS   WORK…",
        "run_01m810dj5kkth8rzc9q5  waiting  publ…",
        "run_01m810era4qcq8z9rn9s  failed   gree…",
    ]
    monkeypatch.setenv("COLUMNS", "64")
    assert ksl("runs", "list").splitlines()[0] == (
        "RUN                       WORKFLOW               STATUS        …"
    )
    tiny.answers["GET /runs"] = (200, {"runs": [], "next_cursor": None})
    assert ksl("runs", "list") == ""


def test_a_run_is_shown_with_its_steps_and_its_error(tiny: TinyServer):
    def step(name: str, status: str, **more: Any) -> dict[str, Any]:
        times = {"started_at": "2026-11-21T12:00:00.000Z", "finished_at": "2026-11-21T12:00:00.250Z"}
        return {"id": name, "status": status, "attempts": 1, "output": None, "error": None} | times | more

    error = {"type": "ValueError", "message": "no\x1b[2J", "step": "charge#0"}
    steps = [
        step("fetch#0", "succeeded", output={"n": 1}),
        step("charge#0", "failed", error=error, attempts=3),
    ]
    tiny.answers["GET /runs/run_1"] = (200, run_json("failed", error=error, steps=steps))
    assert ksl("runs", "show", "run_1").splitlines() == [
        "run       run_1 of greeting, attempt 1",
        "status    Failed",
        "error     ValueError: no�[2J (step charge#0)",
        'input     {"name": "Ada"}',
        "",
        "STEP      STATUS     TRIES  TOOK   RESULT",
        'fetch#0   succeeded  1      250ms  {"n": 1}',
        "charge#0  failed     3      250ms  ValueError: no�[2J",
    ]


def test_a_run_that_failed_names_the_line_of_the_action_that_raised(tiny: TinyServer, tmp_path: Path):
    def trace(*frames: tuple[str, int, str, str]) -> str:
        return "".join(
            f'  File "{file}", line {line}, in {name}\n    {code}\n' for file, line, name, code in frames
        )

    body = (str(tmp_path / "workflows" / "order.py"), 30, "order", "await charge.run()")
    action = (str(tmp_path / "actions" / "shop.py"), 7, "charge", "return bank.pay(cents)")
    library = (str(tmp_path / ".venv" / "lib" / "bank.py"), 99, "pay", "raise ValueError('no')")
    error = {"type": "ValueError", "message": "no", "step": "charge#0", "traceback": trace(body)}
    times = {"started_at": "2026-11-21T12:00:00.000Z", "finished_at": "2026-11-21T12:00:00.250Z"}
    step = {"id": "charge#0", "status": "failed", "attempts": 1, "output": None} | times
    (tmp_path / "ksl.toml").touch()
    for inner, line in (
        (trace(action, library), "raised    actions/shop.py:7 in charge: return bank.pay(cents)"),
        (None, "raised    workflows/order.py:30 in order: await charge.run()"),
    ):
        steps = [step | {"error": error | {"traceback": inner}}]
        tiny.answers["GET /runs/run_1"] = (200, run_json("failed", error=error, steps=steps))
        assert ksl("-C", str(tmp_path), "runs", "show", "run_1").splitlines()[3] == line


def test_a_summary_is_a_few_lines(tiny: TinyServer):
    waits = [{"kind": "hook", "step": "approve#0", "due": "2026-11-22T12:00:00.000Z"}]
    tiny.answers["GET /runs/run_1"] = (200, run_json("waiting", waiting_on=waits))
    assert ksl("runs", "show", "run_1", "--summary").splitlines() == [
        "run       run_1 of greeting, attempt 1",
        "status    Waiting on hook",
        "waits     hook approve#0 until 2026-11-22T12:00:00.000Z",
    ]


def test_tail_is_a_line_for_each_event(tiny: TinyServer):
    events = (
        event_json(1, "run_created", data={"name": "Ada"}),
        event_json(2, "step_completed", step="step:greet#0", data={"message": "Hello, Ada"}),
    )
    tiny.answers |= {
        "GET /runs/run_1": (200, run_json("succeeded")),
        "GET /runs/run_1/stream": (200, stream(*events)),
        "GET /runs/run_1/events": (200, {"events": []}),
    }
    assert ksl("runs", "tail", "run_1").splitlines() == [
        '12:00:00.000  run_created                                     {"name": "Ada"}',
        '12:00:00.000  step_completed        greet#0                   {"message": "Hello, Ada"}',
    ]


def test_hooks_and_workflows_are_tables(tiny: TinyServer):
    hook = {
        "run_id": "run_1",
        "step": "approve#0",
        "workflow": "order",
        "title": "Ship it?",
        "expires_at": None,
    }
    tiny.answers["GET /hooks"] = (200, {"hooks": [hook]})
    tiny.answers["GET /workflows"] = (
        200,
        {"workflows": [{"slug": "order", "description": "Takes an order."}]},
    )
    assert ksl("hooks", "list").splitlines()[1] == "run_1  approve#0  order     Ship it?  never"
    assert ksl("workflows", "list").splitlines()[1] == "order     Takes an order."


def test_what_was_done_is_said_in_a_sentence(tiny: TinyServer):
    tiny.answers |= {
        "GET /runs/run_1": (200, run_json("waiting", waiting_on=[{"kind": "hook", "step": "step:ask#0"}])),
        "GET /runs/run_2": (200, run_json("succeeded", run_id="run_2", output="a\x1b[2Jb")),
        "POST /runs/run_1/fork": (202, {"run_id": "run_2", "status": "queued"}),
        "GET /hooks": (200, {"hooks": []}),
        "POST /hooks/secret": (200, {"status": "resumed", "answered_at": "2026-11-21T12:00:00.000Z"}),
    }
    for verb in ("retry", "cancel", "pause", "release"):
        tiny.answers[f"POST /runs/run_1/{verb}"] = (202, {"run_id": "run_1", "status": "waiting"})
    for verb in ("resume", "reject"):
        tiny.answers[f"POST /runs/run_1/hooks/{verb}"] = (200, {"run_id": "run_1", "status": verb})
    stands = "Run run_1 of greeting: Waiting on hook (ask#0)."
    for args, did in (
        (("hooks", "resume", "run_1"), "Answered."),
        (("hooks", "reject", "run_1"), "Rejected."),
        (("runs", "retry", "run_1"), "It may go on."),
        (("runs", "cancel", "run_1"), "Asked to stop."),
        (("runs", "pause", "run_1"), "Paused."),
        (("runs", "release", "run_1"), "Released."),
    ):
        assert ksl(*args) == f"{did} {stands}\n"
        assert ksl(*args, "--json").startswith('{"run_id": "run_1"')
    forked = ksl("runs", "fork", "run_1", "--at", "ask#0")
    assert forked.startswith("Made from run_1. Run run_2 of greeting: Success, with output ")
    assert "\x1b" not in forked
    assert ksl("hooks", "resume", "secret") == "Answered.\n"


def test_what_was_done_to_many_is_said_in_a_sentence(tiny: TinyServer):
    counted: dict[str, Any] = {"matched": 2, "since": None}
    changed: dict[str, Any] = {"changed": 2, "errors": [], "next_cursor": None}
    tiny.answers["POST /runs/cancel"] = [(200, counted), (200, changed)]
    assert ksl("runs", "cancel", "--status", "sleeping", "--yes") == "Cancel: 2 of 2 runs.\n"


TRIGGER = {
    "slug": "digest",
    "kind": "cron",
    "name": "Digest",
    "description": "Every morning\x1b[2J.",
    "enabled": True,
    "attachments": [{"id": "digest:mail", "workflow": "mail", "enabled": False, "subscribers": 2}],
    "schedule": "0 9 * * *",
    "timezone": "Europe/Berlin",
    "misfire": "coalesce",
    "overlap": "skip",
    "payload": {},
    "state": None,
    "last_firing": {
        "at": "2026-11-21T08:00:00.000Z",
        "verdict": "started",
        "run_ids": ["run_1"],
        "reason": None,
    },
    "refused": 0,
}


def test_a_source_is_shown_as_text(tiny: TinyServer):
    tiny.answers["GET /triggers/digest"] = (200, TRIGGER)
    assert ksl("triggers", "show", "digest", "--from", "2026-11-21", "--next", "2").splitlines() == [
        "trigger   digest, a cron, enabled",
        "          Every morning�[2J.",
        "when      0 9 * * * Europe/Berlin",
        "missed    coalesce, overlap skip",
        "starts    mail (2 subscribed) (disabled)",
        "next      2026-11-21T09:00:00+01:00  2026-11-21T08:00:00Z",
        "          2026-11-22T09:00:00+01:00  2026-11-22T08:00:00Z",
        "newest    2026-11-21T08:00:00.000Z started run_1",
    ]


def test_a_firing_is_told_with_what_came_of_it(tiny: TinyServer):
    started = {"run_id": "run_1", "workflow": "mail", "subscriber": "ada", "item": None}
    wrong = {"workflow": "pay", "subscriber": None, "type": "InvalidInput", "message": "no id"}
    firing = {"source": "digest", "verdict": "started", "reason": None, "run_ids": ["run_1"]}
    tiny.answers |= {
        "GET /triggers/digest": (200, TRIGGER),
        "POST /triggers/digest/invoke": (200, firing | {"runs": [started], "errors": [wrong]}),
        "POST /triggers/digest/disable": (200, {"slug": "digest", "workflow": None, "enabled": False}),
    }
    assert ksl("triggers", "invoke", "digest").splitlines() == [
        "Fired digest: started.",
        "run_1 of mail for ada",
        "pay: InvalidInput: no id",
    ]
    assert ksl("triggers", "disable", "digest") == "digest is disabled.\n"
