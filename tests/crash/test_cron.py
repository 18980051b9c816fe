"""Cron sources of a server that is killed, and whose wall clock is set forward and back meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.crash.process import Serve

T = TypeVar("T")
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

pytestmark = [
    pytest.mark.crash,
    pytest.mark.process,
    pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed (apt-get install faketime)"),
]

WORKFLOW = """
from ksl import Context, CronSource, workflow


@workflow
async def tick(input: str, ctx: Context) -> str:
    return ctx.triggered_at.isoformat()


for policy in ("coalesce", "all", "skip"):
    CronSource(policy, "0 * * * *", payload=policy, misfire=policy).attach(tick)
"""
# The clock is set to moments far from the end of an hour.
HALF_PAST_TEN = datetime(2031, 5, 5, 10, 30, tzinfo=UTC).timestamp()


class Machine:
    """A project, and the wall clock that its servers go by. The monotonic clock is never touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._offset = folder.parent / "offset"
        (folder / "workflows").mkdir(parents=True)
        (folder / "ksl.toml").write_text("")
        (folder / "workflows" / "tick.py").write_text(WORKFLOW)

    def set_clock(self, hours: float) -> None:
        """So many hours after half past ten."""
        beside = self._offset.with_suffix(".new")
        beside.write_text(f"{HALF_PAST_TEN + hours * 3600 - time.time():+.3f}\n")
        beside.rename(self._offset)

    def serve(self) -> Serve:
        return Serve(
            self.folder,
            environment={
                "LD_PRELOAD": str(LIBRARIES[0]),
                "FAKETIME_TIMESTAMP_FILE": str(self._offset),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DONT_RESET": "1",
                "NO_FAKE_STAT": "1",
            },
        )


def fired(server: Serve, source: str) -> list[tuple[str, str, int]]:
    """(hour, verdict, skipped) of each firing, oldest first."""
    rows: Any = server.ask("GET", f"/triggers/{source}/runs").json()["firings"]
    return [(row["triggered_at"][11:13], row["verdict"], row["skipped"]) for row in reversed(rows)]


def reaches(server: Serve, source: str, expected: list[tuple[str, str, int]]) -> None:
    eventually(server, lambda: fired(server, source), lambda now: now == expected)


def stands_at(server: Serve, source: str, moment: str) -> None:
    """The newest tick that was dealt with."""

    def last_at() -> str:
        trigger: Any = server.ask("GET", f"/triggers/{source}").json()
        return trigger["last_at"] or ""

    eventually(server, last_at, lambda now: now.startswith(moment))


def eventually(server: Serve, ask: Callable[[], T], holds: Callable[[T], bool]) -> None:
    until = time.monotonic() + 20
    while not holds(now := ask()):
        assert time.monotonic() < until, (now, server.said())
        time.sleep(0.05)


def test_downtime_restarts_and_clock_jumps_fire_each_tick_once_or_count_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "project")
    machine.set_clock(0)
    with machine.serve() as server:
        for policy in ("coalesce", "all", "skip"):
            stands_at(server, policy, "2031-05-05T10:3")
        machine.set_clock(1)  # 11:30; the server notices by itself
        late = [("11", "started", 0)]
        reaches(server, "coalesce", late)
        reaches(server, "all", late)
        reaches(server, "skip", [("11", "skipped", 1)])
        server.kill()

    machine.set_clock(6)  # 16:30: five ticks have passed by
    everything = [*late, *((str(hour), "started", 0) for hour in range(12, 17))]
    coalesced = [*late, ("16", "started", 4)]
    skipped = [("11", "skipped", 1), ("16", "skipped", 5)]
    for _ in range(2):  # and once more within the minute
        with machine.serve() as server:
            reaches(server, "coalesce", coalesced)
            reaches(server, "all", everything)
            reaches(server, "skip", skipped)
            server.kill()

    # Set back by four hours, under a server that serves: what fired does not fire again, what did not does.
    with machine.serve() as server:
        server.client()
        machine.set_clock(2)  # 12:30
        stands_at(server, "all", "2031-05-05T12:3")
        machine.set_clock(2.5)  # 13:00
        reaches(server, "coalesce", [*coalesced, ("13", "started", 0)])
        reaches(server, "skip", [*skipped, ("13", "started", 0)])
        assert fired(server, "all") == everything
        # And forward again, beyond all that has been: no silence.
        machine.set_clock(6.5)  # 17:00
        reaches(server, "all", [*everything, ("17", "started", 0)])
        runs: Any = server.ask("GET", "/runs?limit=100").json()["runs"]
        nominal = sorted((run["input"], run["triggered_at"]) for run in runs if run["input"] == "all")
        assert len(nominal) == len(set(nominal)) == 7
