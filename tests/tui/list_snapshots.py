"""The lists, with a run in every state and with firings. `python -m tests.tui.list_snapshots` writes them anew."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from ksl.build.config import load_settings
from ksl.cli.doors import ProjectDoors
from ksl.tui.app import KslApp
from ksl.tui.triggers import TriggersScreen

from tests.tui.app import SIZES, runs_of, text_of, until
from tests.tui.project import write
from tests.tui.resting import NOW_MS, write_resting
from tests.tui.snapshots import FOLDER, still

NAMES = ("runs-states", "runs-sorted", "triggers", "triggers-webhook")


async def taken(folder: Path, size: tuple[int, int]) -> dict[str, str]:
    """By name."""
    await write_resting(write(folder) / ".ksl" / "ksl.db")
    doors = ProjectDoors(load_settings(folder))
    app = KslApp(doors, now_ms=lambda: NOW_MS, folder=folder)
    found: dict[str, str] = {}
    try:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: len(runs_of(app).rows) == 10 and app.counts.get("runs") == "10")
            found["runs-states"] = await still(app, pilot)
            await pilot.press("s", "s", "s")
            await until(pilot, lambda: "by state" in text_of(app))
            found["runs-sorted"] = await still(app, pilot)
            await pilot.press("4")
            await until(pilot, lambda: isinstance(app.screen, TriggersScreen))
            await until(pilot, lambda: "Weekday mornings" in text_of(app))
            await until(pilot, lambda: "started" in text_of(app))
            found["triggers"] = await still(app, pilot)
            await pilot.press("j")
            await until(pilot, lambda: "no signature" in text_of(app))
            found["triggers-webhook"] = await still(app, pilot)
    finally:
        await doors.aclose()
    return found


async def _write_all() -> None:
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (await taken(Path(folder), size)).items():
                (FOLDER / f"{name}-{size[0]}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_write_all())
