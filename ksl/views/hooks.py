"""Waiting hooks, as they are shown to an authenticated user: with their URL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ksl.log.store import Store
from ksl.records import HookRow
from ksl.views.links import LISTED, link_json
from ksl.views.times import rfc3339, rfc3339_or_none
from ksl.views.values import JsonObject, is_object, value_of

_NO_KEY = (
    "The key {}, from which its link was made, is not in the file hook-keys of the data folder. Whoever has the link "
    "can use it; to see it again, put the line of that key back into the file. Here and with `ksl hooks resume` it "
    "can be answered without."
)


async def hooks_json(
    store: Store, url_of: Callable[[HookRow], str | None], *, run_id: str | None = None
) -> JsonObject:
    """`{"hooks": [...]}`: those that take an answer, oldest first, each with how its `link` was used."""
    rows = await store.hooks(run_id=run_id, only_open=True)
    found = await store.visits.of(list({row.run_id for row in rows})) if rows else []
    uses = {(use.run_id, use.step): use for use in found}
    return {
        "hooks": [
            hook_json(row, url_of(row)) | {"link": link_json(uses.get((row.run_id, row.step)), most=LISTED)}
            for row in rows
        ]
    }


def hook_json(row: HookRow, url: str | None) -> JsonObject:
    """`url` None: it has been answered, or the key of its link is gone."""
    return {
        "run_id": row.run_id,
        "step": row.step,
        "workflow": row.workflow,
        "name": row.name,
        "title": row.title,
        "details": value_of(row.details),
        "schema": value_of(row.schema),
        "created_at": rfc3339(row.created_at_ms),
        "expires_at": rfc3339_or_none(row.expires_at_ms),
        "url": url,
        "why_no_url": _NO_KEY.format(row.key_id) if url is None and row.status == "open" else None,
    }


async def answer_given(store: Store, hook: HookRow) -> Any:
    """The payload that resumed a hook, the reason that rejected it, None for neither."""
    after = 0
    while events := await store.events(hook.run_id, after=after, limit=1000):
        for event in events:
            if event.step == hook.step and event.type == "hook_resumed":
                return value_of(event.data)
            if event.step == hook.step and event.type == "hook_rejected":
                data = value_of(event.data)
                return data.get("reason", data.get("message", "")) if is_object(data) else data
        after = events[-1].seq
    return None


def answer_json(row: HookRow) -> JsonObject:
    """What became of a hook, for whoever answered it as an authenticated user."""
    return {
        "run_id": row.run_id,
        "step": row.step,
        "status": row.status,
        "answered_at": rfc3339_or_none(row.answered_at_ms),
        "answered_by": row.answered_by,
    }
