"""The server itself: how it is, and what it has said."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ksl import __version__
from ksl.api.openapi import problems
from ksl.api.requests import answer, runtime_of
from ksl.api.shapes_of_system import LogShape, SystemShape
from ksl.engine.server_log import KEPT
from ksl.records import RunStatus
from ksl.views.times import rfc3339
from ksl.views.values import JsonObject

if TYPE_CHECKING:
    from ksl.runtime import Runtime

router = APIRouter(tags=["system"])
LINES = 500  # of the log, where it is not said how many


@router.get("/system", response_model=SystemShape, responses=problems())
async def system(request: Request) -> Response:
    """Its process, its queue, how late it is, how much room it has."""
    return answer(await system_json(runtime_of(request)))


@router.get("/log", response_model=LogShape, responses=problems(400))
async def log(
    request: Request,
    after: Annotated[str | None, Query(description="`after` of the answer before: what came since")] = None,
    level: Annotated[str, Query(description="This one and graver: debug, info, warning, error")] = "debug",
    limit: Annotated[int, Query(ge=1, le=KEPT)] = LINES,
) -> Response:
    """The newest lines of the server's log, the oldest first. Kept in memory: a restart begins anew."""
    page = runtime_of(request).log.page(after=after, level=level, limit=limit)
    return answer({"lines": page.lines, "after": page.after, "missed": page.missed})


async def system_json(runtime: Runtime) -> JsonObject:
    settings, figures, health = runtime.settings, runtime.figures(), runtime.health()
    now_ms = runtime.engine.clock.now_ms()
    counts = await runtime.store.run_counts()
    stats = await runtime.store.stats()
    waits = await runtime.store.waits(now_ms)
    disk = await asyncio.to_thread(shutil.disk_usage, _existing(settings.data_folder))
    lags = {"cron": runtime.cron.lag.newest_s, "poll": runtime.polls.lag.newest_s}
    return {
        "ready": bool(health.get("ready")),
        "reason": health.get("reason"),
        "pid": os.getpid(),
        "started_at": rfc3339(runtime.began_ms),
        "uptime_s": max(now_ms - runtime.began_ms, 0) // 1000,
        "versions": {
            "ksl": __version__,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        },
        "runs": {status.value: counts.get(status, 0) for status in RunStatus},
        "advancing": figures.slots_used,
        "slots": settings.queue.concurrency,
        "queue_depth": figures.queue_depth,
        "oldest_wait_s": _rounded(figures.oldest_wait_s),
        "steps_in_flight": figures.steps_in_flight,
        "resident_runs": figures.resident_runs,
        "timers": waits.timers,
        "timers_due": waits.timers_due,
        "hooks_waiting": waits.hooks,
        "loop_lag_s": _rounded(figures.loop_lag_seconds),
        "trigger_lag_s": {kind: _rounded(lag) for kind, lag in lags.items()},
        "commits": stats.batches,
        "events": stats.events,
        "changes_pending": stats.pending,
        "database_bytes": stats.database_bytes,
        "wal_bytes": stats.wal_bytes,
        "durability": settings.store.durability,
        "disk_free_bytes": disk.free,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(max(seconds, 0.0), 3)


def _existing(folder: Path) -> Path:
    """It, or the nearest one above: without a server there may be no data folder yet."""
    return next(each for each in (folder, *folder.parents) if each.exists())
