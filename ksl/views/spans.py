"""A run's timed stretches, derived from its events: the run, its steps, and each recorded attempt."""

from __future__ import annotations

from collections.abc import Sequence

from ksl.records import FINISHED, Event, RunRow
from ksl.records.model_use import NO_USE, ModelUse
from ksl.views.model_use import use_json
from ksl.views.steps import fold_steps
from ksl.views.times import rfc3339_or_none
from ksl.views.values import JsonObject


def spans_json(row: RunRow, events: Sequence[Event]) -> list[JsonObject]:
    """Each span names its `parent`; the run's own span is the root, `""`. An open span has no end.

    `model_use` is what requests to models used in it and in the spans that lie in it, null where none was made.
    """
    spans = [
        _span("", None, row.workflow, "run", row.status.value, row.started_at_ms, _finished_ms(row)),
    ]
    for step in fold_steps(events):
        # "enrich-lead#0/score#0" ran inside "enrich-lead#0"
        parent, _, name = step.id.rpartition("/")
        spans.append(
            _span(step.id, parent, name, step.kind, step.status, step.started_at_ms, step.finished_at_ms)
        )
    spans.extend(_attempts(events))
    used = _model_use(events)
    return [
        span | {"model_use": use_json(used[span["id"]]) if span["id"] in used else None} for span in spans
    ]


def _model_use(events: Sequence[Event]) -> dict[str, ModelUse]:
    """By span: the run, the steps, the attempts."""
    used: dict[str, ModelUse] = {}
    for event in events:
        if event.step is None or event.meta is None or (use := event.meta.model_use) is None:
            continue
        used[f"{event.step}@{event.meta.attempt}"] = use
        id = event.step
        while True:
            used[id] = used.get(id, NO_USE).plus(use)
            if not id:
                break
            id = id.rpartition("/")[0]
    return used


def _attempts(events: Sequence[Event]) -> list[JsonObject]:
    """Not of a step with one attempt and no other to come: that is the step."""
    tried: dict[str, list[Event]] = {}
    for event in events:
        if (
            event.step is not None
            and event.meta is not None
            and event.meta.attempt
            and event.type in ATTEMPT_STATUS
        ):
            tried.setdefault(event.step, []).append(event)
    return [
        _span(
            f"{step}@{meta.attempt}",
            step,
            f"attempt {meta.attempt}",
            "attempt",
            ATTEMPT_STATUS[event.type],
            meta.started_at_ms or event.at_ms,
            meta.finished_at_ms or event.at_ms,
        )
        for step, outcomes in tried.items()
        if len(outcomes) > 1 or outcomes[0].type == "step_retrying"
        for event in outcomes
        if (meta := event.meta) is not None
    ]


# By the event that an attempt ended with.
ATTEMPT_STATUS: dict[str, str] = {
    "step_completed": "succeeded",
    "step_retrying": "failed",
    "step_failed": "failed",
    "step_cancelled": "cancelled",
}


def _finished_ms(row: RunRow) -> int | None:
    return row.finished_at_ms if row.status in FINISHED else None


def _span(
    span_id: str,
    parent: str | None,
    name: str,
    kind: str,
    status: str,
    started_ms: int | None,
    finished_ms: int | None,
) -> JsonObject:
    return {
        "id": span_id,
        "parent": parent,
        "name": name,
        "kind": kind,
        "status": status,
        "started_at": rfc3339_or_none(started_ms),
        "finished_at": rfc3339_or_none(finished_ms),
    }
