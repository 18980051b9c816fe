"""Events as they are stored, as server-sent events."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.event_stream import EventStream, Page
from ksl.api.openapi import problems
from ksl.api.requests import feed_of, runtime_of, stopping_of
from ksl.errors import BadRequest
from ksl.log.store import Store
from ksl.records import FINISHED
from ksl.views.events import event_json, unknown_run

router = APIRouter(tags=["streams"])

PAGE = 500

_STREAM = {
    200: {
        "description": "Server-sent events; `data` is an event as in /runs/{id}/events. Those named `text` have no "
        "id: they are what a model says while it says it",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/runs/{run_id}/stream",
    response_class=Response,
    responses={
        **_STREAM,
        204: {"description": "The run has ended and there is nothing after `Last-Event-ID`"},
        **problems(400, 404),
    },
)
async def stream_run(request: Request, run_id: str, text: bool = True) -> Response:
    """From the run's first event, or after `Last-Event-ID`, to its last one. The id of each is its `seq`. `text` false
    leaves out what models say meanwhile."""
    runtime = runtime_of(request)
    store = runtime.store
    if await store.run(run_id) is None:
        raise unknown_run(run_id)
    resumed = _last_event_id(request)

    async def more(after: int) -> Page:
        events = await store.events(run_id, after=after, limit=PAGE)
        return Page(
            [(event.seq, event_json(event)) for event in events],
            ended=not events and await _has_ended(store, run_id, after),
        )

    # A browser's EventSource connects again when a stream ends, and only a 204 tells it to leave it at that.
    if resumed is not None and (await more(resumed)).ended:
        return Response(status_code=204)
    return EventStream(
        more,
        after=resumed or 0,
        wake=feed_of(request).wake_for(run_id),
        stopping=stopping_of(request),
        listening=runtime.speech.listening(run_id) if text else None,
    )


@router.get("/stream", response_class=Response, responses={**_STREAM, **problems(400)})
async def stream_all(request: Request, text: bool = True) -> Response:
    """Events of all runs from now on, or after `Last-Event-ID`; each has a `run_id` as well. `text` false leaves out
    what models say meanwhile."""
    runtime = runtime_of(request)
    store = runtime.store
    resumed = _last_event_id(request)
    after = await store.feed_end() if resumed is None else resumed

    async def more(after: int) -> Page:
        rows = await store.feed(after, limit=PAGE)
        return Page([(row.rowid, {"run_id": row.event.run_id, **event_json(row.event)}) for row in rows])

    return EventStream(
        more,
        after=after,
        wake=store.wake_on_commit,
        stopping=stopping_of(request),
        listening=runtime.speech.listening() if text else None,
    )


async def _has_ended(store: Store, run_id: str, after: int) -> bool:
    row = await store.run(run_id)
    if row is not None and row.status not in FINISHED:
        return False
    # The end may have been stored after the events were read and before the row was.
    return not await store.events(run_id, after=after, limit=1)


def _last_event_id(request: Request) -> int | None:
    text = request.headers.get("last-event-id")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadRequest("Last-Event-ID: it is the `id` of the last event received, a whole number.")
    return int(text)
