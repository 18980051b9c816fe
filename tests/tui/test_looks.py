"""Every screen in every look: themes, no colour, ASCII alone, a terminal with room for one list."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot

from ksl.build.config import load_settings
from ksl.cli.doors import ProjectDoors
from ksl.tui.app import KslApp
from ksl.tui.frame import TABS, Framed
from ksl.tui.jump import JumpScreen

from tests.integration.api.serving import Served
from tests.tui.app import runs_of, shown, text_of, until
from tests.tui.project import fire, lived
from tests.tui.snapshots import NOW_MS, rested, still

Visit = Callable[[str], Awaitable[None]]


@asynccontextmanager
async def stored(
    folder: Path, size: tuple[int, int] = (100, 30)
) -> AsyncGenerator[tuple[KslApp, Pilot[None]]]:
    """Over a database that nobody writes to, at a moment that stands still."""
    await rested(folder / ".ksl" / "ksl.db")
    doors = ProjectDoors(load_settings(folder))
    app = KslApp(doors, now_ms=lambda: NOW_MS, folder=folder)
    try:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: len(runs_of(app).rows) == 3 and app.counts.get("runs") == "3")
            yield app, pilot
    finally:
        await doors.aclose()


async def through(app: KslApp, pilot: Pilot[None], visit: Visit) -> None:
    """Goes to each tab; a run is that of the list's first line."""
    app.open_run("run_00000000000000000001")
    for place, name in enumerate(TABS, 1):
        if name != "run":
            await pilot.press(str(place))
        else:
            app.open_run("run_00000000000000000001")
        await until(pilot, lambda name=name: getattr(app.screen, "tab", "") == name)  # type: ignore[misc]
        await still(app, pilot)
        await visit(name)


async def test_a_theme_changes_colours_and_nothing_else(folder: Path) -> None:
    async with stored(folder) as (app, pilot):

        async def visit(name: str) -> None:
            app.theme = "textual-dark"
            before = await still(app, pilot)
            for theme in ("textual-light", "nord", "solarized-light"):
                app.theme = theme
                assert await still(app, pilot) == before, (name, theme)

        await through(app, pilot, visit)


async def test_without_colour_every_screen_has_greys_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with stored(folder) as (app, pilot):

        async def visit(name: str) -> None:
            for strip in app.screen._compositor.render_strips():  # pyright: ignore[reportPrivateUsage]
                for text, style, _ in strip:
                    for colour in (style.color, style.bgcolor) if style is not None else ():
                        if colour is not None and colour.triplet is not None:
                            red, green, blue = colour.triplet
                            assert max(red, green, blue) - min(red, green, blue) <= 1, (name, text, style)

        await through(app, pilot, visit)


async def test_ascii_is_ascii_on_every_screen_and_in_every_dialog(served: Served) -> None:
    made = await lived(served)
    await fire(served)
    async with shown(served, ascii=True) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == len(made) + 1)
        for place, name in enumerate(TABS, 1):
            if name == "run":
                app.open_run(made["failed"])
            else:
                await pilot.press(str(place))
            await until(pilot, lambda name=name: getattr(app.screen, "tab", "") == name)  # type: ignore[misc]
            await pilot.pause(0.3)
            assert text_of(app).isascii(), text_of(app)
            await pilot.press("question_mark")
            await until(pilot, lambda: "Keys here" in text_of(app))
            assert text_of(app).isascii(), text_of(app)
            await pilot.press("escape", "ctrl+o")
            await until(pilot, lambda: isinstance(app.screen, JumpScreen))
            assert text_of(app).isascii(), text_of(app)
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, Framed))
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette) and "Go to hooks" in text_of(app))
        assert text_of(app).isascii(), text_of(app)


@pytest.mark.parametrize("size", [(50, 12), (59, 40), (120, 14)])
async def test_a_tiny_terminal_has_one_list_and_no_border_on_every_screen(
    folder: Path, size: tuple[int, int]
) -> None:
    async with stored(folder, size) as (app, pilot):

        async def visit(name: str) -> None:
            assert app.screen.has_class("tiny")
            seen = text_of(app)
            assert not any(corner in seen for corner in "╭╮╰╯"), (name, seen)
            assert "no server" not in seen, "the line of state takes room, and the banner tells"

        await through(app, pilot, visit)


async def test_the_second_list_of_a_tiny_terminal_comes_in_place_of_the_first(folder: Path) -> None:
    async with stored(folder, (50, 12)) as (app, pilot):
        await pilot.press("7")
        await until(pilot, lambda: "unfinished of 3" in text_of(app))
        assert "No server runs." not in text_of(app)
        await pilot.press("f")
        await until(pilot, lambda: "No server runs." in text_of(app) and "unfinished of" not in text_of(app))
        await pilot.press("escape")
        await until(pilot, lambda: "unfinished of 3" in text_of(app))
        await pilot.press("4")
        await until(pilot, lambda: "mornings" in text_of(app))
        assert "Weekday mornings." not in text_of(app)
        await pilot.press("enter")
        await until(pilot, lambda: "Weekday mornings." in text_of(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Weekday mornings." not in text_of(app) and "orders" in text_of(app))
