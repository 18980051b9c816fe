"""The history of a fork: that of its origin up to a step, under a new run's name. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from ksl.engine.strict_json import check
from ksl.errors import BadRequest
from ksl.records import Event, Meta

# What says how the origin ended or who dealt with it belongs to the origin.
_LEFT_OUT = frozenset({"run_cancel_requested", "run_completed", "run_failed", "run_cancelled"})


def fork_events(
    events: Sequence[Event],
    *,
    run_id: str,
    at: str,
    changes: Mapping[str, bytes],
    input: bytes | None,
    now_ms: int,
    by: str,
) -> list[Event]:
    """Shape: `seq` as in the origin, from 1 without gaps: what the body saw refers to it.

    Errors: BadRequest where `at` or a changed step is not in the history that is kept.
    """
    steps = list(dict.fromkeys(event.step for event in events if event.step is not None))
    cut = _cut(events, at, replaced=at in changes)
    if cut is None:
        known = ", ".join(steps[:20]) or "none yet"
        raise BadRequest(f"at: the run has recorded nothing of step {at}. Steps in its history: {known}.")
    kept = [event for event in events if event.seq < cut]
    for unwanted in (event for event in kept if event.type in _LEFT_OUT):
        raise BadRequest(
            f"at: step {at} was recorded after {unwanted.type} (event {unwanted.seq}), which a fork cannot keep. "
            "Fork at an earlier step."
        )
    missing = set(changes) - {event.step for event in kept if event.type in ("step_completed", "step_failed")}
    if missing:
        raise BadRequest(
            f"set: {min(missing)} has no recorded outcome before step {at}, so there is nothing to replace."
        )
    for step, text in changes.items():
        check(text, what=f"the output for step {step}")
    first = kept[0]
    seed = (first.meta.seed if first.meta else "") or first.run_id
    created = replace(
        first,
        run_id=run_id,
        at_ms=now_ms,
        data=first.data if input is None else input,
        meta=Meta(by=by, origin=first.run_id, seed=seed),
    )
    return [created, *(_copied(event, run_id, changes) for event in kept[1:])]


def _cut(events: Sequence[Event], at: str, *, replaced: bool) -> int | None:
    """The first seq that is not kept."""
    of_step = [
        event
        for event in events
        if event.step is not None and (event.step == at or event.step.startswith(f"{at}/"))
    ]
    if not of_step:
        return None
    if replaced:
        return next((e.seq + 1 for e in of_step if e.type in ("step_completed", "step_failed")), None)
    return of_step[0].seq


def _copied(event: Event, run_id: str, changes: Mapping[str, bytes]) -> Event:
    step = event.step or ""
    if event.type in ("step_completed", "step_failed") and step in changes:
        text = json.dumps(json.loads(changes[step]), separators=(",", ":"), ensure_ascii=False)
        return replace(event, run_id=run_id, type="step_completed", data=text.encode())
    # What models used was used by the origin, and is counted there.
    meta = event.meta
    if meta is not None and meta.model_use is not None:
        meta = replace(meta, model_use=None)
    return replace(event, run_id=run_id, meta=meta)
