"""A run's timed stretches, derived from its events: the run, its steps, and each recorded attempt."""

from __future__ import annotations

from collections.abc import Sequence

from ksl.records import FINISHED, Event, RunRow
from ksl.views.steps import fold_steps
from ksl.views.times import rfc3339_or_none
from ksl.views.values import JsonObject


def spans_json(row: RunRow, events: Sequence[Event]) -> list[JsonObject]:
    """Each span names its `parent`; the run's own span is the root, `""`. An open span has no end."""
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
    return spans


def _attempts(events: Sequence[Event]) -> list[JsonObject]:
    """Only of steps that were tried more than once: a lone attempt is its step."""
    tried: dict[str, list[Event]] = {}
    for event in events:
        if (
            event.step is not None
            and event.meta is not None
            and event.meta.attempt
            and event.type in _OUTCOMES
        ):
            tried.setdefault(event.step, []).append(event)
    return [
        _span(
            f"{step}@{meta.attempt}",
            step,
            f"attempt {meta.attempt}",
            "attempt",
            _OUTCOMES[event.type],
            meta.started_at_ms or event.at_ms,
            meta.finished_at_ms or event.at_ms,
        )
        for step, outcomes in tried.items()
        if len(outcomes) > 1
        for event in outcomes
        if (meta := event.meta) is not None
    ]


_OUTCOMES: dict[str, str] = {
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
