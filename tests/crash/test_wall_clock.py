"""The wall clock is set forward and back under a server that runs, and under one that is started again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.crash.process import Serve
from tests.crash.workload import write_project

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

pytestmark = [
    pytest.mark.crash,
    pytest.mark.process,
    pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed (apt-get install faketime)"),
]

WAITING = '''
"""Runs that wait by durations, by moments, for a deadline and between attempts."""

from datetime import timedelta

from actions.marks import mark, after_a_while
from ksl import Context, HookTimeout, workflow


@workflow
async def rest(input: float, ctx: Context) -> str:
    await ctx.sleep(input)
    return await mark.run(text=f"rested {input}")


@workflow
async def until(input: float, ctx: Context) -> str:
    await ctx.sleep(ctx.now() + timedelta(seconds=input))
    return await mark.run(text=f"until {input}")


@workflow
async def deadline(input: float, ctx: Context) -> str:
    try:
        await ctx.hook(timeout=input)
    except HookTimeout:
        return await mark.run(text=f"nobody in {input}")
    return "answered"


@workflow
async def backoff() -> str:
    return await after_a_while.run()
'''
MARKS = '''
"""Lines in a ledger outside ksl."""

import os
from pathlib import Path

from ksl import ActionContext, Retry, action


@action
async def mark(text: str) -> str:
    with Path(os.environ["LEDGER"]).open("a") as ledger:
        ledger.write(text + "\\n")
    return text


@action(retry=Retry(attempts=2, initial="3s", jitter=False))
async def after_a_while(ctx: ActionContext) -> str:
    if ctx.attempt == 1:
        raise ValueError("not yet")
    return await mark("after the backoff")
'''


class Machine:
    """A project folder, and the wall clock its servers go by. The monotonic clock is never touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._offset = folder.parent / "offset"
        self._ledger = folder / "ledger"
        write_project(folder)
        (folder / "workflows" / "waiting.py").write_text(WAITING)
        (folder / "actions").mkdir()
        (folder / "actions" / "marks.py").write_text(MARKS)
        self.set_clock("+0")

    def set_clock(self, offset: str) -> None:
        """`+2h` of the true time."""
        beside = self._offset.with_suffix(".new")
        beside.write_text(offset + "\n")
        beside.rename(self._offset)

    def serve(self) -> Serve:
        return Serve(
            self.folder,
            environment={
                "LEDGER": str(self._ledger),
                "LD_PRELOAD": str(LIBRARIES[0]),
                "FAKETIME_TIMESTAMP_FILE": str(self._offset),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DONT_RESET": "1",
                "NO_FAKE_STAT": "1",
            },
        )

    @property
    def marks(self) -> list[str]:
        return sorted(self._ledger.read_text().splitlines()) if self._ledger.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "project")


def test_a_clock_set_forward_by_two_hours_wakes_what_is_due_then_once_and_nothing_else(
    machine: Machine,
) -> None:
    with machine.serve() as server:
        due = [start(server, workflow, 3600) for workflow in ("rest", "until", "deadline")]
        later = [start(server, workflow, 3 * 3600) for workflow in ("rest", "until", "deadline")]
        for run_id in due + later:
            reaches(server, run_id, "sleeping", "waiting")
        machine.set_clock("+2h")
        for run_id in due:
            reaches(server, run_id, "succeeded")
        assert {status(server, run_id) for run_id in later} == {"sleeping", "waiting"}
    # The same by a server that is started with that clock, and by one that finds it set right again.
    for offset in ("+2h", "+0"):
        machine.set_clock(offset)
        with machine.serve() as server:
            reaches(server, start(server, "rest", 0.2), "succeeded")
            assert {status(server, run_id) for run_id in later} == {"sleeping", "waiting"}
            assert {status(server, run_id) for run_id in due} == {"succeeded"}
    assert machine.marks == ["nobody in 3600.0", "rested 0.2", "rested 0.2", "rested 3600.0", "until 3600.0"]


def test_a_clock_set_back_by_three_hours_keeps_no_duration_waiting(machine: Machine) -> None:
    with machine.serve() as server:
        measured = [start(server, workflow, 3) for workflow in ("rest", "deadline")]
        measured.append(start(server, "backoff", None))
        by_the_clock = start(server, "until", 3)
        for run_id in (measured[0], by_the_clock):
            reaches(server, run_id, "sleeping")
        began = time.monotonic()
        assert machine.marks == []
        machine.set_clock("-3h")
        reaches(server, short := start(server, "rest", 0.2), "succeeded")
        created = [
            server.ask("GET", f"/runs/{run_id}").json()["started_at"] for run_id in (short, measured[0])
        ]
        assert created[0] < created[1]  # the later one, by a clock that was set back
        for run_id in measured:
            reaches(server, run_id, "succeeded")
        assert time.monotonic() - began < 20
        assert status(server, by_the_clock) == "sleeping"
        machine.set_clock("+0")
        reaches(server, by_the_clock, "succeeded")
        slept = server.ask("GET", f"/runs/{by_the_clock}?include=events").json()["events"]
        overnight = start(server, "rest", 3600)
        reaches(server, overnight, "sleeping")
    # A server started with a clock that was set back knows of no other than that, and says so.
    machine.set_clock("-3h")
    with machine.serve() as server:
        reaches(server, start(server, "rest", 0.1), "succeeded")
        assert status(server, overnight) == "sleeping"
        assert "The clock was set back, or is wrong" in server.said()
    ended = next(event for event in slept if event["type"] == "sleep_completed")
    assert ended["at"] >= next(event["data"]["due"] for event in slept if event["type"] == "sleep_started")
    assert machine.marks == [
        "after the backoff",
        "nobody in 3.0",
        "rested 0.1",
        "rested 0.2",
        "rested 3.0",
        "until 3.0",
    ]


def start(server: Serve, workflow: str, given: object) -> str:
    run_id: str = server.ask("POST", f"/workflows/{workflow}", given).json()["run_id"]
    return run_id


def status(server: Serve, run_id: str) -> str:
    run: dict[str, Any] = server.ask("GET", f"/runs/{run_id}").json()
    return run["status"]


def reaches(server: Serve, run_id: str, *statuses: str) -> None:
    until = time.monotonic() + 30
    while (now := status(server, run_id)) not in statuses:
        assert now not in ("failed", "held", "cancelled"), server.ask("GET", f"/runs/{run_id}").json()
        assert time.monotonic() < until, f"{run_id} is {now}\n{server.said()}"
        time.sleep(0.02)
