"""What becomes of runs, in the log of a server: those that failed, are held or were cancelled, and at debug every
beginning and end. One line for each, when it is stored."""

from __future__ import annotations

import json
import logging
from typing import Any, cast

from ksl.log.store import Change
from ksl.records import Event, EventType
from ksl.records.moment import rfc3339

_MESSAGE_MAX = 1_000
_log = logging.getLogger("ksl.run")

# Of the event that is last in its turn.
_TOLD: dict[EventType, tuple[int, str]] = {
    "run_failed": (logging.WARNING, "failed"),
    "run_held": (logging.WARNING, "is held"),
    "run_retrying": (logging.INFO, "failed and is tried again"),
    "run_cancelled": (logging.INFO, "was cancelled"),
    "run_completed": (logging.DEBUG, "succeeded"),
}


def tell(change: Change) -> None:
    """A turn that is stored and that changed its run's row."""
    row, events = change.run, change.events
    if row is None or not events:
        return
    if _log.isEnabledFor(logging.DEBUG) and events[0].type == "run_started":
        _write(logging.DEBUG, "began", row.workflow, events[0], {})
    last = events[-1]
    told = _TOLD.get(last.type)
    if told is None:
        return
    level, what = told
    if _log.isEnabledFor(level):
        error = _error(last)
        by_hand = last.type == "run_held" and error.get("type") == "Paused"
        _write(logging.INFO if by_hand else level, what, row.workflow, last, error)


def _write(level: int, what: str, workflow: str, event: Event, error: dict[str, Any]) -> None:
    message = f"run {event.run_id} of {workflow} {what}"
    if error:
        message += f": {error.get('type')}: {str(error.get('message'))[:_MESSAGE_MAX]}"
    line: dict[str, object] = {
        "at": rfc3339(event.at_ms),
        "level": logging.getLevelName(level).lower(),
        "message": message,
        "logger": "ksl.run",
        "run_id": event.run_id,
        "workflow": workflow,
    }
    for key in ("code", "step"):
        if error.get(key):
            line[key] = error[key]
    _log.log(level, "%s", message, extra={"ksl": line})


def _error(event: Event) -> dict[str, Any]:
    """Of a run that did not go on: what its event holds, as it was recorded, without secrets."""
    if event.data is None or event.type in ("run_completed", "run_cancelled"):
        return {}
    data = cast("dict[str, Any]", json.loads(event.data))
    return cast("dict[str, Any]", data.get("error", {})) if event.type == "run_retrying" else data
