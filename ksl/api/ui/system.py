"""The server itself: whether it takes work, how much there is, how large the store has become."""

from __future__ import annotations

import os
import platform

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ksl import __version__
from ksl.api.requests import runtime_of
from ksl.api.ui.forms import ConsoleRoute
from ksl.api.ui.pages import page
from ksl.records import RunStatus
from ksl.views.upkeep import size_json

pages = APIRouter(include_in_schema=False, route_class=ConsoleRoute)


@pages.get("/ui/system")
async def show_system(request: Request) -> Response:
    runtime = runtime_of(request)
    counts = await runtime.store.run_counts()
    return await page(
        request,
        "system",
        health=runtime.health(),
        figures=runtime.figures(),
        waits=await runtime.store.waits(runtime.engine.clock.now_ms()),
        counts=[(status.value, counts.get(status, 0)) for status in RunStatus],
        size=size_json(await runtime.store.size()),
        settings=runtime.settings,
        url=runtime.public_url,
        facts={
            "ksl": __version__,
            "Python": platform.python_version(),
            "process": os.getpid(),
            "folder": str(runtime.folder),
            "database": str(runtime.settings.store.path),
            "durability": runtime.settings.store.durability,
        },
    )
