"""The app over a real server on a real database, at a size, with a clock that stands still where it should."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from ksl.tui.app import KslApp
from ksl.tui.client import Door
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
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.link.state == "live")
        yield app, pilot


async def until(pilot: Pilot[None], met: Callable[[], object], turns: int = 2_000) -> None:
    """Lets the app go on until it is so: each turn is one of its event loop, and no time is measured."""
    for _ in range(turns):
        await pilot.pause(0.005)
        if met():
            return
    raise AssertionError(f"it never came to be; the screen:\n{text_of(pilot.app)}")


def text_of(app: Any) -> str:
    """What the terminal shows, without styles."""
    screen = app.screen
    strips = screen._compositor.render_strips() if len(app.screen_stack) == 1 else None
    lines = [strip.text for strip in strips] if strips else _composed(app)
    return "\n".join(line.rstrip() for line in lines)


def _composed(app: Any) -> list[str]:
    return [strip.text for strip in app.screen._compositor.render_strips()]
