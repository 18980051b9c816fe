"""Starting runs, and what can be started."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ksl.api.openapi import body_of, problems
from ksl.api.requests import answer, idempotency_key, json_body, runtime_of, stopping_of
from ksl.api.shapes import CanvasShape, RunShape, StartedShape, WorkflowShape, WorkflowsShape
from ksl.define.duration import parse_duration
from ksl.errors import BadRequest, QueueFull
from ksl.records import FINISHED, RunRow
from ksl.views.canvas import canvas_json, run_canvas_json
from ksl.views.drawings import drawn
from ksl.views.runs import run_json
from ksl.views.workflow_figures import workflow_figures_json
from ksl.views.workflows import source_text, workflow_json, workflows_json

if TYPE_CHECKING:
    from ksl.runtime import Runtime

router = APIRouter(tags=["workflows"])

WAIT_MAX_S = 3600.0
# An SVG that is opened by itself is a document: it brings its style along and needs nothing else.
_PICTURE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


@router.get("/workflows", response_model=WorkflowsShape, responses=problems(400))
async def list_workflows(
    request: Request,
    figures: Annotated[bool, Query(description="With the runs of 24 hours, and what is wrong")] = False,
) -> Response:
    runtime = runtime_of(request)
    if not figures:
        return answer(workflows_json(runtime.project))
    now_ms = runtime.engine.clock.now_ms()
    return answer(await workflow_figures_json(runtime.store, runtime.project, now_ms=now_ms))


@router.get("/workflows/{slug}", response_model=WorkflowShape, responses=problems(404))
async def show_workflow(request: Request, slug: str) -> Response:
    return answer(workflow_json(runtime_of(request).project, slug))


@router.get(
    "/workflows/{slug}/canvas",
    response_model=CanvasShape,
    responses={
        200: {
            "content": {"text/plain": {}, "image/svg+xml": {}},
            "description": "JSON, text for mermaid, or a picture",
        },
        **problems(400, 404),
    },
)
async def show_canvas(
    request: Request,
    slug: str,
    format: Annotated[str, Query(description="json, mermaid or svg")] = "json",
    run: Annotated[str | None, Query(description="A run, to draw its code and where it is on it")] = None,
    expand: Annotated[bool, Query(description="Open up the workflows that run inside")] = False,
) -> Response:
    """With `run`, as JSON: `nodes` by id, and whether the source has `changed` since."""
    if format not in ("json", "mermaid", "svg"):
        raise BadRequest("format: a canvas is json, mermaid or svg.")
    runtime = runtime_of(request)
    if run is None:
        shown = canvas_json(runtime.project, slug, expand=expand)
    else:
        shown = await run_canvas_json(
            runtime.store,
            runtime.project,
            slug,
            run,
            now_ms=runtime.engine.clock.now_ms(),
            under_way=runtime.under_way(run),
            expand=expand,
        )
    match format:
        case "mermaid":
            return PlainTextResponse(drawn(shown, "mermaid"))
        case "svg":
            return Response(drawn(shown, "svg"), media_type="image/svg+xml", headers=_PICTURE)
        case _:
            return answer(shown)


@router.get(
    "/workflows/{slug}/source",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {}}}, **problems(404)},
)
async def show_source(request: Request, slug: str) -> Response:
    """The text of the file that its canvas is drawn from."""
    return PlainTextResponse(source_text(runtime_of(request).project, slug))


@router.post(
    "/workflows/{slug}",
    status_code=202,
    response_model=StartedShape,
    responses={
        200: {"model": RunShape, "description": "Finished within `wait`, or the key was used before"},
        **problems(400, 404, 409, 413, 415, 422, 503),
    },
    openapi_extra=body_of({}, "The input, as the workflow's schema describes it"),
)
async def start_run(
    request: Request,
    slug: str,
    wait: Annotated[str | None, Query(description='How long to wait for the end, like "30s"')] = None,
    again: Annotated[str | None, Query(description="The run that this one repeats")] = None,
) -> Response:
    """202 is sent when the run is stored. The header `Idempotency-Key` makes a repetition harmless."""
    runtime = runtime_of(request)
    wait_s = _wait_s(wait)
    key = idempotency_key(request)
    await _refuse_overload(runtime, slug, key)
    started = await runtime.start(
        slug, await json_body(request), trigger="api", idempotency_key=key, by="api", again=again
    )
    row = started.run
    if wait_s is not None and row.status not in FINISHED:
        row = await _settled(request, row, wait_s)
    if not started.created or (wait_s is not None and row.status in FINISHED):
        return answer(await run_json(runtime.store, row.run_id))
    accepted: dict[str, Any] = {"run_id": row.run_id, "status": row.status.value}
    return answer(accepted, 202, headers={"Location": f"/runs/{row.run_id}"})


async def _refuse_overload(runtime: Runtime, slug: str, key: str | None) -> None:
    """A line that only grows takes memory, and every start in it waits longer than the one before."""
    try:
        runtime.raise_if_overloaded()
    except QueueFull:
        if key is None or await runtime.store.run_by_key(slug, key) is None:
            raise


async def _settled(request: Request, row: RunRow, wait_s: float) -> RunRow:
    """The run at its end, or as it stands when the time is up, the client has gone or the server stops."""
    runtime = runtime_of(request)
    settled = asyncio.ensure_future(runtime.settled(row.run_id, timeout_s=wait_s))
    others: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(stopping_of(request).wait()),
        asyncio.ensure_future(_gone(request)),
    ]
    try:
        await asyncio.wait([settled, *others], return_when=asyncio.FIRST_COMPLETED)
        return settled.result() if settled.done() else await runtime.store.run(row.run_id) or row
    finally:
        for task in (settled, *others):
            task.cancel()
        await asyncio.gather(settled, *others, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _wait_s(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        wait_s = parse_duration(text)
    except ValueError as wrong:
        raise BadRequest(f"wait: {wrong}. Nothing was started.") from None
    if wait_s > WAIT_MAX_S:
        raise BadRequest(
            "wait: the longest is 1h. Nothing was started. "
            "Follow GET /runs/{id}/stream for a run that takes longer."
        )
    return wait_s
