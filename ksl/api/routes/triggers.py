"""Sources: deliveries to their endpoints, and what an authenticated user sees and does.

`POST /triggers/{endpoint}` is the only address without the token: what a delivery must prove is for the source
to say. Addresses of users have the slug, which is a source's own; several sources may share an endpoint.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.deliveries import arrived
from ksl.api.openapi import body_of, problems
from ksl.api.requests import answer, envelope, runtime_of
from ksl.api.shapes_of_triggers import (
    AcceptedShape,
    FiringShape,
    FiringsShape,
    SkippedShape,
    SwitchShape,
    TriggersShape,
    TriggerWholeShape,
)
from ksl.views.triggers import (
    firing_json,
    firings_json,
    trigger_figures_json,
    trigger_json,
    trigger_whole_json,
)

router = APIRouter(tags=["triggers"])

LIMIT_MAX = 1_000


@router.post(
    "/triggers/{endpoint}",
    status_code=202,
    response_model=AcceptedShape,
    responses={
        200: {"model": SkippedShape, "description": "Understood, and no run was wanted"},
        **problems(400, 401, 404, 409, 413, 415, 422, 503, public=True),
    },
    openapi_extra=body_of({}, "The payload, as the source's schema describes it", required=False),
)
async def deliver(request: Request, endpoint: str) -> Response:
    """202 is sent when every run is stored. A delivery that is repeated under its id gets the same answer."""
    runtime = runtime_of(request)
    runtime.raise_if_overloaded()
    said = await runtime.webhooks.receive(endpoint, await arrived(request))
    if said.skipped:
        asked = {} if said.challenge is None else {"challenge": said.challenge}
        return answer({"ok": True, "skipped": True, **asked})
    return answer({"run_ids": said.run_ids}, 202)


@router.get("/triggers", response_model=TriggersShape, responses=problems(400))
async def list_triggers(
    request: Request,
    figures: Annotated[bool, Query(description="With where each stands, and its newest firings")] = False,
) -> Response:
    runtime = runtime_of(request)
    sources = sorted(runtime.project.triggers.values(), key=lambda source: source.slug)
    standing = runtime.triggers.standing
    if figures:
        told = await trigger_figures_json(runtime.store, sources, standing, public_url=runtime.public_url)
        return answer({"triggers": told})
    shown = [trigger_json(source, standing, public_url=runtime.public_url) for source in sources]
    return answer({"triggers": shown})


@router.get("/triggers/{slug}", response_model=TriggerWholeShape, responses=problems(404))
async def show_trigger(request: Request, slug: str) -> Response:
    runtime = runtime_of(request)
    source = runtime.triggers.source(slug)
    standing = runtime.triggers.standing
    return answer(await trigger_whole_json(runtime.store, source, standing, public_url=runtime.public_url))


@router.get("/triggers/{slug}/runs", response_model=FiringsShape, responses=problems(400, 404))
async def list_firings(
    request: Request,
    slug: str,
    verdict: Annotated[str | None, Query(description="started, skipped, rejected or failed")] = None,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
    cursor: str | None = None,
) -> Response:
    """Firings, newest first, each with the runs it started."""
    runtime = runtime_of(request)
    runtime.triggers.source(slug)
    return answer(await firings_json(runtime.store, slug, verdict=verdict, cursor=cursor, limit=limit))


class _Invoke(msgspec.Struct, forbid_unknown_fields=True):
    input: msgspec.Raw = msgspec.Raw()  # empty: not given


@router.post(
    "/triggers/{slug}/invoke",
    status_code=202,
    response_model=FiringShape,
    responses=problems(400, 404, 409, 413, 415, 422, 503),
    openapi_extra=body_of(
        {"type": "object", "additionalProperties": False, "properties": {"input": {}}},
        "`input` is the payload of a webhook; cron sources and polls have their own",
        required=False,
    ),
)
async def invoke_trigger(request: Request, slug: str) -> Response:
    """Fires now, disabled or not. The answer is the firing, with its payload, once it is stored."""
    asked = await envelope(request, _Invoke)
    row = await runtime_of(request).invoke(slug, bytes(asked.input) or None, by="api")
    return answer(firing_json(row), 202)


class _Switch(msgspec.Struct, forbid_unknown_fields=True):
    workflow: str | None = None


_SWITCHED: Any = {
    "response_model": SwitchShape,
    "responses": problems(400, 404, 415, 422, 503),
    "openapi_extra": body_of(
        {"type": "object", "additionalProperties": False, "properties": {"workflow": {"type": "string"}}},
        "`workflow` means one attachment; left out, the whole source",
        required=False,
    ),
}


@router.post("/triggers/{slug}/enable", **_SWITCHED)
async def enable_trigger(request: Request, slug: str) -> Response:
    return await _switch(request, slug, enabled=True)


@router.post("/triggers/{slug}/disable", **_SWITCHED)
async def disable_trigger(request: Request, slug: str) -> Response:
    """It stays disabled over restarts and changes of its code. Deliveries are then recorded as skipped."""
    return await _switch(request, slug, enabled=False)


async def _switch(request: Request, slug: str, *, enabled: bool) -> Response:
    asked = await envelope(request, _Switch)
    row = await runtime_of(request).switch_trigger(slug, asked.workflow, enabled=enabled, by="api")
    return answer({"slug": row.source, "workflow": row.workflow or None, "enabled": row.enabled})
