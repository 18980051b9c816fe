"""The list of runs: a filter in the address, a page at a time, the newest first."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.requests import runtime_of, stopping_of
from ksl.api.ui.forms import ConsoleRoute
from ksl.api.ui.live import LiveStream, Now
from ksl.api.ui.pages import page, sections
from ksl.records import RunFilter
from ksl.views.run_query import KEYS, BadQuery
from ksl.views.runs import run_filter, runs_json

pages = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

LIMIT = 50
# A list of everything changes with every commit of every run.
_PAUSE_S = 0.5
TABS = (
    ("", "All"),
    ("state:running,queued,sleeping", "Under way"),
    ("state:waiting", "Waiting"),
    ("state:held", "Held"),
    ("state:retrying", "Retrying"),
    ("state:failed", "Failed"),
    ("state:succeeded", "Succeeded"),
)


@pages.get("/ui/runs")
async def list_runs(request: Request, q: str = "", cursor: str | None = None) -> Response:
    try:
        where = _filter(q)
    except BadQuery as wrong:
        values = await _shown(request, None, "", None)
        return await page(request, "runs", status=400, **values | {"q": q}, wrong=wrong)
    return await page(request, "runs", **await _shown(request, where, q, cursor), wrong=None)


@pages.get("/ui/live/runs")
async def follow_runs(request: Request, q: str = "") -> Response:
    runtime = runtime_of(request)
    where = _filter(q)

    async def now() -> Now:
        # A filter by time goes on with the time.
        values = await _shown(request, _filter(q) if q else where, q, None)
        return Now(await runtime.store.feed_end(), await sections(request, "runs", **values, wrong=None))

    return LiveStream(
        now,
        in_flight=lambda: None,
        wake=runtime.store.wake_on_commit,
        stopping=stopping_of(request),
        pause_s=_PAUSE_S,
    )


def _filter(q: str) -> RunFilter:
    return run_filter(query=q, now_ms=time.time_ns() // 1_000_000)


async def _shown(request: Request, where: RunFilter | None, q: str, cursor: str | None) -> dict[str, Any]:
    """`where` None: nothing matches, since the filter cannot be read."""
    runtime = runtime_of(request)
    listed: dict[str, Any] = {"runs": [], "next_cursor": None, "count": {"runs": 0, "exact": True}}
    if where is not None:
        listed = await runs_json(runtime.store, where, cursor=cursor, limit=LIMIT, counted=True)
    return {
        "runs": listed["runs"],
        "next_cursor": listed["next_cursor"],
        "count": listed["count"],
        "q": q,
        "cursor": cursor,
        "tabs": TABS,
        "keys": KEYS,
        "workflows": runtime.project.defined,
    }
