"""Waiting hooks as an authenticated user sees and answers them: by run and step, not by token."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.openapi import body_of, problems
from ksl.api.requests import answer, envelope, runtime_of
from ksl.api.shapes import AnsweredShape, HooksShape
from ksl.views.events import unknown_run
from ksl.views.hooks import answer_json, hooks_json

router = APIRouter(tags=["hooks"])

_STEP = {"type": "string", "description": "May be left out where one hook waits"}


@router.get("/hooks", response_model=HooksShape, responses=problems(404))
async def list_hooks(request: Request, run_id: str | None = None) -> Response:
    """Those that wait, oldest first; with `run_id`, those of one run."""
    runtime = runtime_of(request)
    if run_id is not None and await runtime.store.run(run_id) is None:
        raise unknown_run(run_id)
    return answer(await hooks_json(runtime.store, runtime.hook_url, run_id=run_id))


class _Resume(msgspec.Struct, forbid_unknown_fields=True):
    step: str | None = None
    payload: msgspec.Raw = msgspec.Raw(b"null")


@router.post(
    "/runs/{run_id}/hooks/resume",
    response_model=AnsweredShape,
    responses=problems(400, 404, 409, 410, 413, 415, 422, 503),
    openapi_extra=body_of(
        {"type": "object", "additionalProperties": False, "properties": {"step": _STEP, "payload": {}}},
        "The payload as the hook's schema describes it; null when left out",
        required=False,
    ),
)
async def resume_hook(request: Request, run_id: str) -> Response:
    asked = await envelope(request, _Resume)
    row = await runtime_of(request).resume_hook(run_id, _bare(asked.step), bytes(asked.payload), by="api")
    return answer(answer_json(row))


class _Reject(msgspec.Struct, forbid_unknown_fields=True):
    step: str | None = None
    reason: str = ""


@router.post(
    "/runs/{run_id}/hooks/reject",
    response_model=AnsweredShape,
    responses=problems(400, 404, 409, 410, 415, 422, 503),
    openapi_extra=body_of(
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {"step": _STEP, "reason": {"type": "string"}},
        },
        "May be left out",
        required=False,
    ),
)
async def reject_hook(request: Request, run_id: str) -> Response:
    asked = await envelope(request, _Reject)
    row = await runtime_of(request).reject_hook(run_id, _bare(asked.step), reason=asked.reason, by="api")
    return answer(answer_json(row))


def _bare(step: str | None) -> str | None:
    """Events write "step:approve#0", hooks "approve#0"; both name the same step."""
    return None if step is None else step.removeprefix("step:")
