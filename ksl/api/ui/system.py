"""The server itself: whether it takes work, how much there is, how large the store has become, what it logs."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.requests import runtime_of, stopping_of
from ksl.api.routes.system import system_json
from ksl.api.ui.forms import ConsoleRoute
from ksl.api.ui.live import LiveStream, Now
from ksl.api.ui.pages import page, sections
from ksl.engine.server_log import KEPT, LEVELS
from ksl.records import RunStatus
from ksl.views.upkeep import size_json

pages = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

LINES = 200
_EVERY_S = 1.0
_NAMED = (
    "at",
    "level",
    "message",
    "traceback",
    "run_id",
    "workflow",
    "logger",
)  # have a place of their own in a line


@pages.get("/ui/system")
async def show_system(request: Request, level: str = LEVELS[0], text: str = "") -> Response:
    """`level` and `text` leave lines of the log out."""
    return await page(request, "system", **await _shown(request, level, text))


@pages.get("/ui/live/system")
async def follow_system(request: Request, level: str = LEVELS[0], text: str = "") -> Response:
    runtime = runtime_of(request)

    async def now() -> Now:
        shown = await _shown(request, level, text)
        return Now(await runtime.store.feed_end(), await sections(request, "system", **shown))

    return LiveStream(
        now,
        # Figures change without a commit: they are looked at once a second, and no sooner for a commit.
        in_flight=lambda: int(time.monotonic() / _EVERY_S),
        wake=lambda _wake: lambda: None,
        stopping=stopping_of(request),
        pause_s=_EVERY_S,
    )


async def _shown(request: Request, level: str, text: str) -> dict[str, Any]:
    runtime = runtime_of(request)
    system = await system_json(runtime)
    lines = runtime.log.page(after=None, level=level, limit=KEPT).lines
    if text:
        lines = [line for line in lines if text.lower() in _whole(line)]
    settings = runtime.settings
    return {
        "system": system,
        "counts": [(status.value, system["runs"][status.value]) for status in RunStatus],
        "size": size_json(await runtime.store.size()),
        "lines": lines[: -LINES - 1 : -1],
        "left_out": max(len(lines) - LINES, 0),
        "named": _NAMED,
        "level": level,
        "levels": LEVELS,
        "text": text,
        "url": runtime.public_url,
        "facts": {
            "process": system["pid"],
            "ksl": system["versions"]["ksl"],
            "Python": system["versions"]["python"],
            "SQLite": system["versions"]["sqlite"],
            "folder": str(runtime.folder),
            "database": str(settings.store.path),
            "durability": system["durability"],
        },
    }


def _whole(line: dict[str, Any]) -> str:
    return msgspec.json.encode(line, enc_hook=str).decode().lower()
