"""Runs: what they are, what happened in them, and asking them to stop or go on."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.openapi import body_of, problems
from ksl.api.requests import answer, envelope, runtime_of
from ksl.api.shapes import EventsShape, RunShape, RunsShape, StartedShape, TraceShape
from ksl.errors import BadRequest
from ksl.records import RunRow
from ksl.views.events import PAGE, events_json
from ksl.views.runs import include_of, run_filter, run_json, runs_json

router = APIRouter(tags=["runs"])


@router.get("/runs", response_model=RunsShape, responses=problems(400))
async def list_runs(
    request: Request,
    workflow: str | None = None,
    status: Annotated[str | None, Query(description="One status, or several with commas")] = None,
    since: Annotated[str | None, Query(description='"2h" back from now, or an RFC 3339 moment')] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> Response:
    """Newest first."""
    now_ms = time.time_ns() // 1_000_000
    where = run_filter(workflow=workflow, status=status, since=since, now_ms=now_ms)
    return answer(await runs_json(runtime_of(request).store, where, cursor=cursor, limit=limit))


@router.get("/runs/{run_id}", response_model=RunShape, responses=problems(400, 404))
async def show_run(
    request: Request,
    run_id: str,
    include: Annotated[str | None, Query(description="Of events, steps, trace, logs; with commas")] = None,
) -> Response:
    runtime = runtime_of(request)
    wanted = include_of(include)
    logs = runtime.logs(run_id) if "logs" in wanted else None
    return answer(await run_json(runtime.store, run_id, include=wanted, logs=logs))


@router.get("/runs/{run_id}/events", response_model=EventsShape, responses=problems(400, 404))
async def list_events(
    request: Request,
    run_id: str,
    after: Annotated[int, Query(ge=0, description="Only events with a higher `seq`")] = 0,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> Response:
    """In ascending `seq`."""
    if cursor is not None:
        after = _seq(cursor)
    return answer(await events_json(runtime_of(request).store, run_id, after=after, limit=limit))


@router.get("/runs/{run_id}/trace", response_model=TraceShape, responses=problems(404))
async def show_trace(request: Request, run_id: str) -> Response:
    """The run's timed stretches: itself, its steps, and the attempts of those tried more than once."""
    run = await run_json(runtime_of(request).store, run_id, include=frozenset({"trace"}))
    return answer(run["trace"])


class _Cancel(msgspec.Struct, forbid_unknown_fields=True):
    reason: str = ""
    force: bool = False


_CANCEL = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "reason": {"type": "string"},
        "force": {"type": "boolean", "description": "Skip the clean-up steps"},
    },
}


@router.post(
    "/runs/{run_id}/cancel",
    status_code=202,
    response_model=StartedShape,
    responses=problems(400, 404, 409, 415, 422, 503),
    openapi_extra=body_of(_CANCEL, "May be left out", required=False),
)
async def cancel_run(request: Request, run_id: str) -> Response:
    asked = await envelope(request, _Cancel)
    return _accepted(
        await runtime_of(request).cancel(run_id, reason=asked.reason, by="api", force=asked.force)
    )


@router.post(
    "/runs/{run_id}/retry", status_code=202, response_model=StartedShape, responses=problems(404, 409, 503)
)
async def retry_run(request: Request, run_id: str) -> Response:
    """A failed run goes on from what it has recorded; a held one goes on once its code is put right."""
    return _accepted(await runtime_of(request).retry(run_id, by="api"))


def _accepted(row: RunRow) -> Response:
    return answer({"run_id": row.run_id, "status": row.status.value}, 202)


def _seq(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 16):
        raise BadRequest(f'cursor: "{cursor[:40]}" is none; it is the `next_cursor` of the page before.')
    return int(cursor)
