"""The pictures of the screens, taken of the screens themselves. Ids and times differ each time."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from textual.pilot import Pilot

from ksl.tui.app import KslApp
from ksl.tui.hooks import HooksScreen
from ksl.tui.run import RunScreen
from ksl.tui.session import SessionScreen
from ksl.tui.sessions import SessionsScreen
from ksl.tui.system import SystemScreen
from ksl.tui.triggers import TriggersScreen
from ksl.tui.workflows import WorkflowsScreen

from tests.integration.api.serving import serving
from tests.tui import agents_project
from tests.tui.app import runs_of, shown, until
from tests.tui.project import fire, lived, write

NAMES = ("runs", "run", "replay", "hooks", "triggers", "workflows", "session", "system")
SIZE = (118, 32)
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def file_of(name: str) -> str:
    return f"tui-{name}.svg"


async def taken() -> dict[str, str]:
    """By name of the file."""
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with serving(write(Path(folder))) as served:
            made = await lived(served)
            await fire(served)
            async with shown(served, SIZE) as (app, pilot):

                def take(name: str) -> None:
                    found[file_of(name)] = _picture(app)

                await until(pilot, lambda: len(runs_of(app).rows) == 6 and app.counts.get("runs") == "6")
                await until(pilot, lambda: "hold" in runs_of(app).query_one("#runs").paint(1, 118))  # type: ignore[attr-defined]
                take("runs")
                app.open_run(made["failed"])
                await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
                await pilot.press("e")
                await pilot.pause(0.5)
                take("run")
                await pilot.press("d")
                await until(
                    pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.inspector.position
                )
                await pilot.press("p", "p")
                await pilot.pause(1.0)
                take("replay")
                await _at(app, pilot, "3", HooksScreen)
                await until(pilot, lambda: isinstance(app.screen, HooksScreen) and app.screen.form)
                await pilot.press("enter")
                await pilot.pause(0.5)
                take("hooks")
                await pilot.press("escape")
                await _at(app, pilot, "4", TriggersScreen)
                await pilot.press("j")
                await pilot.pause(0.5)
                take("triggers")
                await _at(app, pilot, "5", WorkflowsScreen)
                await pilot.press("j")
                await pilot.pause(0.5)
                take("workflows")
                await _at(app, pilot, "7", SystemScreen)
                await pilot.pause(1.5)
                take("system")
    return found | {file_of("session"): await session_taken()}


async def session_taken() -> str:
    with tempfile.TemporaryDirectory() as folder:
        async with serving(agents_project.write(Path(folder))) as served:
            made = await agents_project.prompted(served)
            await agents_project.prompted(served, message="And A-1002?", session=made["session_id"])
            async with shown(served, SIZE) as (app, pilot):
                await _at(app, pilot, "6", SessionsScreen)
                await until(pilot, lambda: isinstance(app.screen, SessionsScreen) and app.screen.sessions)
                await pilot.press("enter")
                await until(pilot, lambda: isinstance(app.screen, SessionScreen) and app.screen.session)
                await pilot.press("g", *"jjj", "enter")
                await pilot.pause(0.5)
                return _picture(app)


def _picture(app: KslApp) -> str:
    # The fonts would be fetched from elsewhere; every reader has one of fixed width.
    picture = _FONT.sub("", app.export_screenshot(title="ksl tui"))
    return "\n".join(line.rstrip() for line in picture.splitlines()) + "\n"


async def _at(app: KslApp, pilot: Pilot[None], key: str, screen: type[object]) -> None:
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, screen))
    await pilot.pause(0.8)
