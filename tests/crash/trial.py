"""One trial: the whole workload, the server killed at chosen points, restarted until everything has ended.

What the driver does is what a careful client does: it starts with an idempotency key, asks again when no answer
came, and never repeats what was acknowledged.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.process import Died, Serve
from tests.crash.workload import RUNS, write_project

ENDED = ("succeeded", "failed", "cancelled", "held")
TRIAL_S = 60.0
Json = dict[str, Any]


@dataclass
class Line:
    """An effect that really happened."""

    run_id: str
    step: str
    attempt: int
    life: int
    key: str


@dataclass
class Trial:
    folder: Path
    kills: int = 0
    started: dict[str, str] = field(default_factory=dict[str, str])  # workflow -> acknowledged run id
    answered: bool = False  # a resume was acknowledged
    stopped: bool = False  # a cancellation was acknowledged
    resumes_sent: int = 0
    restart_s: float | None = None  # from the start of the last server to the end of all runs
    wal_bytes: int = 0  # the largest that a death left behind
    runs: dict[str, Json] = field(default_factory=dict[str, Json])  # workflow -> the run as it ended
    recorded: dict[int, set[tuple[str, str]]] = field(default_factory=dict[int, set[tuple[str, str]]])

    @property
    def ledger(self) -> list[Line]:
        lines = [line.split() for line in (self.folder / "ledger").read_text().splitlines()]
        return [Line(run, step, int(attempt), int(life), key) for run, step, attempt, life, key in lines]


def run_trial(
    folder: Path, points: Sequence[str], *, options: tuple[str, ...] = (), serve: type[Serve] = Serve
) -> Trial:
    """`points`: where the first lives end, as `CRASH_AT` says it; a last one follows undisturbed."""
    write_project(folder)
    trial = Trial(folder)
    deadline = time.monotonic() + TRIAL_S
    for life, point in enumerate([*points, ""]):
        environment = {"CRASH_LEDGER": str(folder / "ledger"), "CRASH_LIFE": str(life), "CRASH_AT": point}
        with serve(folder, environment=environment, options=options) as server:
            try:
                _drive(trial, server, deadline)
                trial.restart_s = time.monotonic() - server.began_s
                break
            except Died:
                assert server.process.returncode == -9, server.said()
                trial.kills += 1
                wal = folder / ".ksl" / "ksl.db-wal"
                trial.wal_bytes = max(trial.wal_bytes, wal.stat().st_size if wal.exists() else 0)
                trial.recorded[life] = recorded_steps(folder)
    return trial


def _drive(trial: Trial, server: Serve, deadline: float) -> None:
    for workflow, (given, _, _) in RUNS.items():
        if workflow not in trial.started:
            answer = server.ask("POST", f"/workflows/{workflow}", given, **{"Idempotency-Key": "once"})
            assert answer.status_code in (200, 202), answer.text
            trial.started[workflow] = answer.json()["run_id"]
    while True:
        rows = {row["workflow"]: row for row in server.ask("GET", "/runs?limit=1000").json()["runs"]}
        for workflow, run_id in trial.started.items():
            assert rows[workflow]["run_id"] == run_id, f"the acknowledged run of {workflow} is lost"
        if not trial.answered and rows["asker"]["status"] == "waiting":
            answer = server.ask(
                "POST", f"/runs/{rows['asker']['run_id']}/hooks/resume", {"payload": {"approved": True}}
            )
            trial.resumes_sent += 1
            # 409: the answer to an earlier request was lost with its server, the answer itself was not.
            assert answer.status_code == 200 or (answer.status_code == 409 and trial.resumes_sent > 1)
            trial.answered = True
        if not trial.stopped and rows["cancelled"]["status"] == "waiting":
            answer = server.ask("POST", f"/runs/{rows['cancelled']['run_id']}/cancel", {"reason": "enough"})
            assert answer.status_code == 202, answer.text
            trial.stopped = True
        if all(row["status"] in ENDED for row in rows.values()):
            break
        assert time.monotonic() < deadline, f"not ended: {rows}\n{server.said()}"
        time.sleep(0.01)
    for workflow, run_id in trial.started.items():
        trial.runs[workflow] = server.ask("GET", f"/runs/{run_id}?include=events").json()


def recorded_steps(folder: Path) -> set[tuple[str, str]]:
    """(run, step) of every outcome that is in the file, with the server dead."""
    import sqlite3
    from contextlib import closing

    path = folder / ".ksl" / "ksl.db"
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'event'").fetchone() is None:
            return set()
        return set(
            connection.execute(
                "SELECT run_id, step FROM event WHERE type IN ('step_completed', 'step_failed', 'step_cancelled')"
            )
        )
