"""Screens over a database that is written by hand, at a moment that stands still."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path

from textual.pilot import Pilot

from ksl.build.config import load_settings
from ksl.cli.doors import ProjectDoors
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change
from ksl.records import Event, EventType, Meta, RunRow, RunStatus
from ksl.tui.app import KslApp
from ksl.tui.hooks import HooksScreen
from ksl.tui.jump import JumpScreen
from ksl.tui.run import RunScreen
from ksl.tui.system import SystemScreen
from ksl.tui.workflows import WorkflowsScreen

from tests.tui.app import runs_of, text_of, until
from tests.tui.project import write

FOLDER = Path(__file__).parent / "snapshots"
NAMES = ("runs", "run", "hooks", "workflows", "system", "keys", "jump")
# Of this machine, and never the same.
_MEASURED = re.compile(r"^│ (?:database|disk|versions) .*\n", re.MULTILINE)
NOW_MS = 1_750_000_000_000
_ERROR = b'{"type": "Carrier", "message": "carrier API refused (503)", "step": "ship-order#0"}'
_WAITS = b'[{"kind": "hook", "step": "hook#0", "due": "2025-06-17T15:06:40.000Z"}]'


async def taken(folder: Path, size: tuple[int, int]) -> dict[str, str]:
    """By name of the screen."""
    await rested(folder / ".ksl" / "ksl.db")
    doors = ProjectDoors(load_settings(folder))
    app = KslApp(doors, now_ms=lambda: NOW_MS, folder=folder)
    found: dict[str, str] = {}
    try:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: len(runs_of(app).rows) == 3 and app.counts.get("runs") == "3")
            found["runs"] = await still(app, pilot)
            app.open_run("run_00000000000000000001")
            await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
            await until(pilot, lambda: "run's steps." in text_of(app))
            found["run"] = await still(app, pilot)
            await pilot.press("escape", "3")
            await until(
                pilot, lambda: isinstance(app.screen, HooksScreen) and "Nothing waits" in text_of(app)
            )
            found["hooks"] = await still(app, pilot)
            await pilot.press("5")
            await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen) and app.screen.canvas)
            await pilot.press("j")
            await until(pilot, lambda: "▸ charge-card" in text_of(app) or size[0] < 90)
            found["workflows"] = await still(app, pilot)
            await pilot.press("7")
            await until(pilot, lambda: isinstance(app.screen, SystemScreen) and app.screen.database)
            found["system"] = _MEASURED.sub("", await still(app, pilot))
            await pilot.press("5")
            await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen))
            await pilot.press("question_mark")
            await until(pilot, lambda: "Keys here" in text_of(app))
            found["keys"] = await still(app, pilot)
            await pilot.press("escape", "ctrl+o")
            await until(pilot, lambda: isinstance(app.screen, JumpScreen))
            found["jump"] = await still(app, pilot)
    finally:
        await doors.aclose()
    return found


async def still(app: KslApp, pilot: Pilot[None]) -> str:
    """The screen when nothing on it changes any more: the database behind it does not. Without the version of ksl."""
    before, same = "", 0
    while same < 10:
        await pilot.pause(0.05)
        now = text_of(app)
        before, same = now, same + 1 if now == before else 0
    return re.sub(r"ksl \d+\.\d+\.\d+\S*", "ksl 0.0.0", before) + "\n"


async def rested(path: Path) -> None:
    store = await SqliteStore.open(path, durability="process")
    runs: list[tuple[RunStatus, int, EventType | None, bytes | None, bytes | None]] = [
        (RunStatus.SUCCEEDED, 7_200_000, "run_completed", b'"on its way"', None),
        (RunStatus.FAILED, 60_000, "run_failed", _ERROR, None),
        (RunStatus.WAITING, 8_000, None, None, _WAITS),
    ]
    for number, (status, age_ms, last, data, waits) in enumerate(runs):
        run_id, at_ms = f"run_{number:020}", NOW_MS - age_ms
        step = Meta(attempt=1, started_at_ms=at_ms + 10, finished_at_ms=at_ms + 900, kind="action")
        happened = [
            Event(run_id, 1, "run_created", None, at_ms, b'{"id": "o-114"}', None, Meta()),
            Event(run_id, 2, "run_started", None, at_ms, None, None, Meta(attempt=1)),
            Event(run_id, 3, "step_completed", "reserve-stock#0", at_ms + 900, b'"kept"', b"{}", step),
        ]
        if last == "run_failed":
            tried = Meta(attempt=1, started_at_ms=at_ms + 1_000, finished_at_ms=at_ms + 4_000, kind="action")
            happened.append(
                Event(run_id, 4, "step_failed", "ship-order#0", at_ms + 4_000, _ERROR, b"{}", tried)
            )
        if last is not None:
            happened.append(
                Event(run_id, len(happened) + 1, last, None, at_ms + 4_200, data, None, Meta(attempt=1))
            )
        row = RunRow(
            run_id=run_id,
            workflow="fulfil-order",
            status=status,
            trigger="api",
            triggered_at_ms=at_ms,
            created_at_ms=at_ms,
            seq=len(happened),
            started_at_ms=at_ms,
            finished_at_ms=None if last is None else at_ms + 4_200,
            code_version="0123456789ab",
            waiting_on=waits,
        )
        store.append(Change(run_id=run_id, events=happened, run=row))
    await store.close()


async def _write_all() -> None:
    FOLDER.mkdir(exist_ok=True)
    for size in ((80, 24), (120, 40), (200, 60)):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (await taken(write(Path(folder)), size)).items():
                (FOLDER / f"{name}-{size[0]}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_write_all())
