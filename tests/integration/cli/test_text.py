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
