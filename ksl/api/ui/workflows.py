"""Workflows: what there is, how each is drawn, and a form to start it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.hook_form import is_same
from ksl.api.requests import runtime_of
from ksl.api.ui.forms import ConsoleRoute, Pairs, answers_in, filled, own_form
from ksl.api.ui.pages import drawing, form_of, found, only, page, part
from ksl.errors import BadJson, InvalidInput, KslError
from ksl.records import RunFilter, RunStatus
from ksl.views.canvas import canvas_json
from ksl.views.form_fields import fields_of, pairs_of, payload_of
from ksl.views.runs import run_json, runs_json
from ksl.views.values import JsonObject, encode
from ksl.views.workflows import workflow_json, workflows_json

if TYPE_CHECKING:
    from ksl.runtime import Runtime

pages = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

RAW, AGAIN = "ksl:json", "ksl:again"
_DAY_MS = 86_400_000
_COUNTED = 1_000


@pages.get("/ui/workflows")
async def list_workflows(request: Request) -> Response:
    runtime = runtime_of(request)
    listed = workflows_json(runtime.project)["workflows"]
    return await page(request, "workflows", workflows=[await _line(runtime, each) for each in listed])


@pages.get("/ui/workflows/{slug}")
async def show_workflow(request: Request, slug: str, again: str = "") -> Response:
    """`again`: the run whose input the form begins with."""
    if not again:
        return await _page(request, slug)
    runtime = runtime_of(request)
    given = (await run_json(runtime.store, again))["input"]
    schema = workflow_json(runtime.project, slug)["input_schema"]
    pairs = pairs_of(given, fields_of(schema))
    # What the fields have no room for, or would change on the way, is shown as it is.
    fits = is_same(payload_of(pairs, schema, form=True), given) and is_same(
        given, payload_of(pairs, schema, form=True)
    )
    raw = "" if fits else msgspec.json.format(encode(given), indent=2).decode()
    return await _page(request, slug, pairs=[(AGAIN, again), *pairs], raw=raw)


@pages.post("/ui/workflows/{slug}", dependencies=[Depends(own_form)])
async def start_run(request: Request, slug: str) -> Response:
    runtime = runtime_of(request)
    pairs = await form_of(request)
    shown = workflow_json(runtime.project, slug)
    raw = only(pairs, RAW).strip()
    try:
        runtime.raise_if_overloaded()
        payload = payload_of(answers_in(pairs), shown["input_schema"], form=True)
        text = raw.encode() if raw else encode(payload)
        started = await runtime.start(slug, text, by="console", again=only(pairs, AGAIN) or None)
    except (InvalidInput, BadJson) as wrong:
        return await _page(request, slug, pairs=pairs, wrong=wrong, raw=raw)
    return found(request, f"runs/{part(started.run.run_id)}")


async def _page(
    request: Request, slug: str, *, pairs: Pairs | None = None, wrong: KslError | None = None, raw: str = ""
) -> Response:
    runtime = runtime_of(request)
    shown = workflow_json(runtime.project, slug)
    broken = runtime.project.broken.get(slug)
    takes_input = shown["input_schema"].get("type") != "null" and shown["input_schema"] != {"const": None}
    try:
        canvas = drawing(canvas_json(runtime.project, slug))
    except KslError:
        canvas = None  # its source is not to be read
    listed = await runs_json(runtime.store, RunFilter(workflow=slug), limit=10)
    return await page(
        request,
        "workflow",
        status=422 if wrong is not None else 200,
        workflow=shown,
        canvas=canvas,
        broken=broken.message if broken is not None else "",
        form=filled(shown["input_schema"], pairs or [], wrong),
        takes_input=takes_input,
        raw=raw,
        raw_name=RAW,
        again=only(pairs or [], AGAIN),
        again_name=AGAIN,
        runs=listed["runs"],
        schemas={
            name: msgspec.json.format(encode(shown[f"{name}_schema"]), indent=2).decode()
            for name in ("input", "output")
        },
    )


async def _line(runtime: Runtime, shown: JsonObject) -> dict[str, Any]:
    since_ms = int(time.time() * 1000) - _DAY_MS
    slug: str = shown["slug"]
    store = runtime.store
    recent = RunFilter(workflow=slug, since_ms=since_ms)
    failed = RunFilter(workflow=slug, since_ms=since_ms, statuses=(RunStatus.FAILED, RunStatus.HELD))
    newest = await runs_json(store, RunFilter(workflow=slug), limit=1)
    return {
        **shown,
        "steps": len(runtime.project.tables[slug].sites) if slug in runtime.project.tables else None,
        "recent": await store.run_count(recent, most=_COUNTED),
        "failed": await store.run_count(failed, most=_COUNTED),
        "newest": next(iter(newest["runs"]), None),
        "broken": slug in runtime.project.broken,
    }
