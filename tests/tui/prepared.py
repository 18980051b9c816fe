"""A project whose database holds more runs than are counted, written once and copied for each test."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from ksl.build.discover import discover, unload
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change
from ksl.records import Event, Meta, RunRow, RunStatus

from tests.tui.project import write

RUNS = 10_412
FAILED_EVERY = 100
_ERROR = b'{"type": "Carrier", "message": "carrier API refused (503)", "step": "press#0"}'


def run_id_of(number: int) -> str:
    """The newest is `RUNS - 1`."""
    return f"run_{number:020}"


async def write_many(folder: Path) -> Path:
    write(folder)
    project = discover(folder)
    version = project.code_version("echo")
    unload(project)
    store = await SqliteStore.open(folder / ".ksl" / "ksl.db", durability="process")
    now_ms = time.time_ns() // 1_000_000
    for number in range(RUNS):
        store.append(_change(run_id_of(number), now_ms - (RUNS - number) * 1_000, version, number))
        if number % 1_000 == 0:
            await store.flush()
    await store.close()
    return folder


def copied(prepared: Path, folder: Path) -> Path:
    shutil.copytree(prepared, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _change(run_id: str, at_ms: int, version: str, number: int) -> Change:
    failed = number % FAILED_EVERY == 0
    row = RunRow(
        run_id=run_id,
        workflow="echo",
        status=RunStatus.FAILED if failed else RunStatus.SUCCEEDED,
        trigger="api",
        triggered_at_ms=at_ms,
        created_at_ms=at_ms,
        seq=3,
        started_at_ms=at_ms,
        finished_at_ms=at_ms + 40 + number,
        code_version=version,
    )
    happened = [
        Event(run_id, 1, "run_created", None, at_ms, b'"text"', None, Meta()),
        Event(run_id, 2, "run_started", None, at_ms, None, None, Meta(attempt=1)),
        Event(
            run_id, 3, "run_failed" if failed else "run_completed", None, at_ms + 40 + number,
            _ERROR if failed else b'"text"', None, Meta(attempt=1),
        ),
    ]  # fmt: skip
    return Change(run_id=run_id, events=happened, run=row)
