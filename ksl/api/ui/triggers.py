"""Sources: when they fire next, what came of it before, firing one now."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.requests import runtime_of
from ksl.api.ui.forms import ConsoleRoute, filled, own_form
from ksl.api.ui.pages import form_of, found, only, page, part
from ksl.define.schedule import Schedule
from ksl.errors import BadJson, BadRequest, InvalidInput, KslError
from ksl.views.times import rfc3339
from ksl.views.triggers import firings_json, trigger_json, trigger_whole_json
from ksl.views.values import JsonObject

pages = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

PAYLOAD = "ksl:payload"
_FIRINGS = 30
_NEXT = 5


@pages.get("/ui/triggers")
async def list_triggers(request: Request) -> Response:
    runtime = runtime_of(request)
    listed: list[dict[str, Any]] = []
    for source in sorted(runtime.project.triggers.values(), key=lambda source: source.slug):
        shown = trigger_json(source, runtime.triggers.standing, public_url=runtime.public_url)
        firings = await firings_json(runtime.store, source.slug, limit=_FIRINGS)
        listed.append({**shown, "next": _next(shown, 1), "firings": firings["firings"]})
    return await page(request, "triggers", triggers=listed)


@pages.get("/ui/triggers/{slug}")
async def show_trigger(request: Request, slug: str, cursor: str | None = None) -> Response:
    return await _page(request, slug, cursor=cursor)


@pages.get("/ui/triggers/{slug}/{verb}")
async def go_back(request: Request, slug: str) -> Response:
    """Where a form was sent to, when its address is opened again."""
    return found(request, f"triggers/{part(slug)}")


@pages.post("/ui/triggers/{slug}/{verb}", dependencies=[Depends(own_form)])
async def act(request: Request, slug: str, verb: str) -> Response:
    runtime = runtime_of(request)
    pairs = await form_of(request)
    workflow = only(pairs, "workflow") or None
    match verb:
        case "enable" | "disable":
            await runtime.switch_trigger(slug, workflow, enabled=verb == "enable", by="console")
        case "fire":
            payload = only(pairs, PAYLOAD).strip()
            try:
                await runtime.invoke(slug, payload.encode() if payload else None, by="console")
            except (InvalidInput, BadJson) as wrong:
                return await _page(request, slug, wrong=wrong, payload=payload)
        case _:
            raise BadRequest(f'"{verb[:40]}" is nothing that can be done with a source. Nothing was done.')
    return found(request, f"triggers/{part(slug)}")


async def _page(
    request: Request,
    slug: str,
    *,
    cursor: str | None = None,
    wrong: KslError | None = None,
    payload: str = "",
) -> Response:
    runtime = runtime_of(request)
    source = runtime.triggers.source(slug)
    standing = runtime.triggers.standing
    shown = await trigger_whole_json(runtime.store, source, standing, public_url=runtime.public_url)
    listed = await firings_json(runtime.store, slug, cursor=cursor, limit=_FIRINGS)
    return await page(
        request,
        "trigger",
        status=422 if wrong is not None else 200,
        trigger=shown,
        next=_next(shown, _NEXT),
        firings=listed["firings"],
        next_cursor=listed["next_cursor"],
        payload=payload,
        payload_name=PAYLOAD,
        wrong=wrong.message if wrong is not None else "",
        fields=filled(shown["payload_schema"]).fields,
    )


def _next(shown: JsonObject, number: int) -> list[dict[str, str]]:
    """The next times of a source that fires by the clock, where it is enabled."""
    if "schedule" not in shown or not shown["enabled"]:
        return []
    schedule = Schedule(shown["schedule"], shown["timezone"])
    return [
        {"at": rfc3339(int(each * 1000)), "local": f"{schedule.local(each):%a %d %b %H:%M}"}
        for each in schedule.upcoming(time.time(), number)
    ]
