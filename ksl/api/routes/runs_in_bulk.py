"""Operations on every run of a filter. No run's id is `cancel`, so these addresses are nobody's else."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.openapi import body_of, problems
from ksl.api.requests import answer, envelope, runtime_of
from ksl.api.shapes import ChangedShape
from ksl.engine.many import Verb, change_page, matching, selection
from ksl.views.runs import run_filter

router = APIRouter(tags=["runs"])

Workflow = Annotated[str | None, Query()]
Status = Annotated[str | None, Query(description="One status, or several with commas")]
Since = Annotated[str | None, Query(description='"2h" back from now, or an RFC 3339 moment')]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the answer before")]
DryRun = Annotated[bool, Query(description="Only says how many runs match")]

_Count = Annotated[int, msgspec.Meta(ge=0)]
_CONFIRM = {
    "type": "integer",
    "minimum": 0,
    "description": "How many runs are meant. Where more match, none is changed. Left out in a dry run",
}


class _Confirmed(msgspec.Struct, forbid_unknown_fields=True):
    confirm: _Count | None = None


class _Reasoned(_Confirmed, forbid_unknown_fields=True):
    reason: str = ""


class _Cancel(_Reasoned, forbid_unknown_fields=True):
    force: bool = False


class _Release(_Confirmed, forbid_unknown_fields=True):
    accept_drift: bool = False


def _described(**more: dict[str, Any]) -> dict[str, Any]:
    properties = {"confirm": _CONFIRM, **more}
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return {
        "response_model": ChangedShape,
        "responses": problems(400, 409, 415, 422, 503),
        "openapi_extra": body_of(schema, "How many runs, and what single runs take", required=False),
    }


_REASON = {"type": "string", "description": "Kept in the history of each"}


@router.post(
    "/runs/cancel",
    **_described(reason=_REASON, force={"type": "boolean", "description": "Skip the clean-up steps"}),
)
async def cancel_runs(
    request: Request,
    workflow: Workflow = None,
    status: Status = None,
    since: Since = None,
    cursor: Cursor = None,
    dry_run: DryRun = False,
) -> Response:
    asked = await envelope(request, _Cancel)
    runtime = runtime_of(request)

    async def act(run_id: str) -> object:
        return await runtime.cancel(run_id, reason=asked.reason, by="api", force=asked.force)

    return await _change(request, "cancel", (workflow, status, since), act, asked, cursor, dry_run)


@router.post("/runs/retry", **_described())
async def retry_runs(
    request: Request,
    workflow: Workflow = None,
    status: Status = None,
    since: Since = None,
    cursor: Cursor = None,
    dry_run: DryRun = False,
) -> Response:
    asked = await envelope(request, _Confirmed)
    runtime = runtime_of(request)

    async def act(run_id: str) -> object:
        return await runtime.retry(run_id, by="api")

    return await _change(request, "retry", (workflow, status, since), act, asked, cursor, dry_run)


@router.post("/runs/pause", **_described(reason=_REASON))
async def pause_runs(
    request: Request,
    workflow: Workflow = None,
    status: Status = None,
    since: Since = None,
    cursor: Cursor = None,
    dry_run: DryRun = False,
) -> Response:
    asked = await envelope(request, _Reasoned)
    runtime = runtime_of(request)

    async def act(run_id: str) -> object:
        return await runtime.pause(run_id, reason=asked.reason, by="api")

    return await _change(request, "pause", (workflow, status, since), act, asked, cursor, dry_run)


@router.post(
    "/runs/release",
    **_described(accept_drift={"type": "boolean", "description": "What is recorded stands"}),
)
async def release_runs(
    request: Request,
    workflow: Workflow = None,
    status: Status = None,
    since: Since = None,
    cursor: Cursor = None,
    dry_run: DryRun = False,
) -> Response:
    asked = await envelope(request, _Release)
    runtime = runtime_of(request)

    async def act(run_id: str) -> object:
        return await runtime.release(run_id, by="api", accept_drift=asked.accept_drift)

    return await _change(request, "release", (workflow, status, since), act, asked, cursor, dry_run)


async def _change(
    request: Request,
    verb: Verb,
    which: tuple[str | None, str | None, str | None],
    act: Callable[[str], Awaitable[object]],
    asked: _Confirmed,
    cursor: str | None,
    dry_run: bool,
) -> Response:
    workflow, status, since = which
    now_ms = time.time_ns() // 1_000_000
    where = selection(verb, run_filter(workflow=workflow, status=status, since=since, now_ms=now_ms))
    store = runtime_of(request).store
    if dry_run:
        return answer(await matching(store, where))
    return answer(await change_page(store, where, act, confirm=asked.confirm, cursor=cursor))
