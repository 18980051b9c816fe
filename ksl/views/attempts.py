"""The attempts of one step, each with what came of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ksl.views.spans import ATTEMPT_STATUS
from ksl.views.values import JsonObject, is_object


def attempts_json(events: Iterable[JsonObject], step: str) -> list[JsonObject]:
    """`events` as `ksl.views.events` answers them; `step` is its id.

    Shape:   `attempt`, `status`, `started_at`, `finished_at`, `error` (null where it succeeded), `next_attempt_at`
             (null where no other was to come). Attempts that a crash cut off are recorded nowhere.
    """
    return [
        _attempt(event)
        for event in events
        if str(event.get("step") or "").removeprefix("step:") == step and event["type"] in ATTEMPT_STATUS
    ]


def _attempt(event: JsonObject) -> JsonObject:
    meta: JsonObject = event.get("meta") or {}
    status = ATTEMPT_STATUS[event["type"]]
    data: Any = event.get("data")
    error: JsonObject | None = data if status == "failed" and is_object(data) else None
    return {
        "attempt": meta.get("attempt") or 1,
        "status": status,
        "started_at": meta.get("started_at"),
        "finished_at": meta.get("finished_at") or event["at"],
        "error": error,
        "next_attempt_at": error.get("next_attempt_at") if error is not None else None,
    }
