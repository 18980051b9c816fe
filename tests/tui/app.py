"""The app over a real server on a real database, at a size, with a clock that stands still where it should."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from ksl.tui.app import KslApp
from ksl.tui.client import Door
from ksl.tui.runs import RunsScreen

from tests.integration.api.serving import Served


class OneDoor:
    def __init__(self, door: Door) -> None:
        self.door = door

    async def find(self) -> Door:
        return self.door


def app_of(served: Served, **options: Any) -> KslApp:
    return KslApp(OneDoor(Door(served.url, served.runtime.token)), **options)


@asynccontextmanager
async def shown(
    served: Served, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncGenerator[tuple[KslApp, Pilot[None]]]:
    app = app_of(served, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.link.state == "live")
        yield app, pilot


_SOON = 20  # turns in which most things come to be


async def until(pilot: Pilot[None], met: Callable[[], object], turns: int = 2_000) -> None:
    """Lets the app go on until it is so: each turn is one of its event loop, and no time is measured."""
    for turn in range(turns):
        # A look at the screen draws all of it, which takes from what is waited for.
        await pilot.pause(0.005 if turn < _SOON else 0.025)
        if met():
            return
    raise AssertionError(f"it never came to be; the screen:\n{text_of(pilot.app)}")


def text_of(app: App[None]) -> str:
    """What the terminal shows, without styles."""
    strips = app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]
    return "\n".join(strip.text.rstrip() for strip in strips)


SIZES = [(80, 24), (120, 40), (200, 60)]


def runs_of(app: KslApp) -> RunsScreen:
    assert isinstance(app.screen, RunsScreen), app.screen
    return app.screen
