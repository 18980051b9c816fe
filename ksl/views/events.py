"""One run's history, a page at a time."""

from __future__ import annotations

from typing import Any

from ksl.errors import UnknownRun
from ksl.log.store import Store
from ksl.records import Event, Meta
from ksl.views.credentials import uses_json
from ksl.views.model_use import use_json
from ksl.views.times import rfc3339
from ksl.views.values import JsonObject, value_of

PAGE = 1000


async def events_json(store: Store, run_id: str, *, after: int = 0, limit: int = PAGE) -> JsonObject:
    """`{"events": [...], "next_cursor"}`; the cursor is the `after` of the next page, null on the last one.

    Errors:  UnknownRun; DamagedEvent.
    """
    # one more than asked for tells whether another page follows
    events = await store.events(run_id, after=after, limit=limit + 1)
    if not events and await store.run(run_id) is None:
        raise unknown_run(run_id)
    page = events[:limit]
    return {
        "events": [event_json(event) for event in page],
        "next_cursor": str(page[-1].seq) if len(events) > limit else None,
    }


def event_json(event: Event) -> JsonObject:
    shown: JsonObject = {
        "seq": event.seq,
        "type": event.type,
        "step": None if event.step is None else f"step:{event.step}",
        "at": rfc3339(event.at_ms),
        "data": value_of(event.data),
    }
    if event.input is not None:
        shown["input"] = value_of(event.input)
    if event.meta is not None and (meta := meta_json(event.meta)):
        shown["meta"] = meta
    return shown


def meta_json(meta: Meta) -> JsonObject:
    """Only what is known: an empty field is left out."""
    known: dict[str, Any] = {
        "attempt": meta.attempt,
        "started_at": rfc3339(meta.started_at_ms) if meta.started_at_ms else None,
        "finished_at": rfc3339(meta.finished_at_ms) if meta.finished_at_ms else None,
        "after": meta.after,
        "by": meta.by,
        "fatal": meta.fatal,
        "attempts_max": meta.attempts_max,
        "kind": meta.kind,
        "callee": meta.callee,
        "origin": meta.origin,
        "source": meta.source,
        "firing": meta.firing,
        "skipped": meta.skipped,
        "credentials": uses_json(meta.credentials),
        "model_use": None if meta.model_use is None else use_json(meta.model_use),
    }
    return {key: value for key, value in known.items() if value}


def unknown_run(run_id: str) -> UnknownRun:
    return UnknownRun(f"No run has the id {run_id}. `ksl runs list` shows the newest ones.")
