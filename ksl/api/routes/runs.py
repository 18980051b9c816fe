"""Runs: what they are, what happened in them, and asking them to stop or go on."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.openapi import body_of, problems
from ksl.api.requests import answer, envelope, runtime_of
from ksl.api.shapes import EventsShape, PositionShape, RunAloneShape, RunsShape, StartedShape, TraceShape
from ksl.errors import BadRequest
from ksl.records import RunRow
from ksl.runtime.under_way import at_hand
from ksl.views.events import PAGE, events_json
from ksl.views.runs import include_of, run_filter, run_json, runs_json

router = APIRouter(tags=["runs"])


@router.get("/runs", response_model=RunsShape, responses=problems(400))
async def list_runs(
    request: Request,
    workflow: str | None = None,
    status: Annotated[
        str | None, Query(description="One status, or several with commas; retrying is one, too")
    ] = None,
    since: Annotated[str | None, Query(description='"2h" back from now, or an RFC 3339 moment')] = None,
    q: Annotated[str | None, Query(description='A filter like `state:failed took:>5s "o-118"`')] = None,
    count: Annotated[bool, Query(description="Say how many match, exactly up to 10,000")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> Response:
    """Newest first."""
    now_ms = time.time_ns() // 1_000_000
    where = run_filter(workflow=workflow, status=status, since=since, query=q, now_ms=now_ms)
    runtime = runtime_of(request)
    at = partial(at_hand, runtime.engine)
    return answer(
        await runs_json(runtime.store, where, cursor=cursor, limit=limit, counted=count, at_hand=at)
    )


@router.get("/runs/{run_id}", response_model=RunAloneShape, responses=problems(400, 404))
async def show_run(
    request: Request,
    run_id: str,
    include: Annotated[
        str | None, Query(description="Of events, steps, trace, links, logs; with commas")
    ] = None,
) -> Response:
    runtime = runtime_of(request)
    wanted = include_of(include)
    logs = runtime.logs(run_id) if "logs" in wanted else None
    under_way = runtime.under_way(run_id)
    return answer(await run_json(runtime.store, run_id, include=wanted, logs=logs, under_way=under_way))


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


@router.get("/runs/{run_id}/position", response_model=PositionShape, responses=problems(400, 404, 409))
async def show_position(
    request: Request,
    run_id: str,
    seq: Annotated[int | None, Query(ge=1, description="After this event; the newest if left out")] = None,
) -> Response:
    """Where the body stood after an event, and what its variables held. Replays the run; nothing is stored or done."""
    return answer(await runtime_of(request).position(run_id, seq))


class _Cancel(msgspec.Struct, forbid_unknown_fields=True):
    reason: str = ""
    force: bool = False


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


_CANCEL = _object(
    reason={"type": "string"}, force={"type": "boolean", "description": "Skip the clean-up steps"}
)


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


class _Pause(msgspec.Struct, forbid_unknown_fields=True):
    reason: str = ""


@router.post(
    "/runs/{run_id}/pause",
    status_code=202,
    response_model=StartedShape,
    responses=problems(400, 404, 409, 415, 422, 503),
    openapi_extra=body_of(_object(reason={"type": "string"}), "May be left out", required=False),
)
async def pause_run(request: Request, run_id: str) -> Response:
    """Steps in flight are recorded when they end; nothing more begins until the run is released."""
    asked = await envelope(request, _Pause)
    return _accepted(await runtime_of(request).pause(run_id, reason=asked.reason, by="api"))


class _Release(msgspec.Struct, forbid_unknown_fields=True):
    accept_drift: bool = False


_DRIFT = {"type": "boolean", "description": "What is recorded stands, whatever inputs the code gives now"}


@router.post(
    "/runs/{run_id}/release",
    status_code=202,
    response_model=StartedShape,
    responses=problems(400, 404, 409, 415, 422, 503),
    openapi_extra=body_of(_object(accept_drift=_DRIFT), "May be left out", required=False),
)
async def release_run(request: Request, run_id: str) -> Response:
    """A held run goes on."""
    asked = await envelope(request, _Release)
    return _accepted(await runtime_of(request).release(run_id, by="api", accept_drift=asked.accept_drift))


class _Wake(msgspec.Struct, forbid_unknown_fields=True):
    step: str | None = None


_SLEEP = {"type": "string", "description": "Of the sleep; may be left out where one waits"}


@router.post(
    "/runs/{run_id}/wake",
    status_code=202,
    response_model=StartedShape,
    responses=problems(400, 404, 409, 415, 422, 503),
    openapi_extra=body_of(_object(step=_SLEEP), "May be left out", required=False),
)
async def wake_run(request: Request, run_id: str) -> Response:
    """A sleep of the run ends now, as if its moment had come."""
    asked = await envelope(request, _Wake)
    return _accepted(await runtime_of(request).wake(run_id, asked.step, by="api"))


class _Fork(msgspec.Struct, forbid_unknown_fields=True):
    at: str
    set: dict[str, msgspec.Raw] = {}
    input: msgspec.Raw = msgspec.Raw()  # nothing: the input stays


_FORK = {
    **_object(
        at={"type": "string", "description": "Id of the first step that runs again"},
        set={"type": "object", "description": "Outputs in place of recorded ones, by step"},
        input={"description": "In place of the run's input"},
    ),
    "required": ["at"],
}


@router.post(
    "/runs/{run_id}/fork",
    status_code=202,
    response_model=StartedShape,
    responses=problems(400, 404, 409, 413, 415, 422, 503),
    openapi_extra=body_of(_FORK, "Where to part from the run, and what to change"),
)
async def fork_run(request: Request, run_id: str) -> Response:
    """A new run that keeps the history up to a step; answers with the new run."""
    asked = await envelope(request, _Fork)
    changes = {step: bytes(output) for step, output in asked.set.items()}
    row = await runtime_of(request).fork(
        run_id, at=asked.at, changes=changes, input=bytes(asked.input) or None, by="api"
    )
    return _accepted(row)


def _accepted(row: RunRow) -> Response:
    return answer({"run_id": row.run_id, "status": row.status.value}, 202)


def _seq(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 16):
        raise BadRequest(f'cursor: "{cursor[:40]}" is none; it is the `next_cursor` of the page before.')
    return int(cursor)
