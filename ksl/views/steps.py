"""A run's steps, folded from its events.

A step shows up with its first recorded event. One in flight whose start was not recorded (only an `at_most_once`
step records it) is not known to the log: the process that runs it says so beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from ksl.records import Event, EventType
from ksl.records.model_use import ModelUse
from ksl.records.under_way import UnderWay
from ksl.views.agent_steps import agents_at_work, tell_of_agents
from ksl.views.model_use import use_json
from ksl.views.times import rfc3339_or_none
from ksl.views.values import JsonObject, is_object, value_of

StepStatus = Literal[
    "running", "retrying", "sleeping", "waiting", "succeeded", "failed", "cancelled", "reopened"
]

# What is not in the table is no step of the author's: the body's own timers, and the run's events.
_STATUS_AFTER: dict[EventType, StepStatus] = {
    "step_started": "running",
    "step_completed": "succeeded",
    "step_retrying": "retrying",
    "step_failed": "failed",
    "step_cancelled": "cancelled",
    "sleep_started": "sleeping",
    "sleep_completed": "succeeded",
    "hook_created": "waiting",
    "hook_resumed": "succeeded",
    "hook_rejected": "failed",
    "hook_expired": "failed",
}
# Where an event's data says until when its step waits.
DUE_IN: dict[EventType, str] = {
    "step_retrying": "next_attempt_at",
    "sleep_started": "due",
    "hook_created": "expires_at",
}
_BEGINNINGS: frozenset[EventType] = frozenset({"step_started", "sleep_started", "hook_created"})


class StepState(msgspec.Struct):
    """A step as its events so far say. Times are Unix milliseconds; `due`, what it waits for, is as recorded."""

    id: str
    kind: str
    status: StepStatus
    callee: str = ""
    attempts: int = 0
    attempts_max: int | None = None
    due: str | None = None
    by: str = ""
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    input: bytes | None = None
    output: bytes | None = None
    error: Any = None
    own_use: ModelUse | None = None  # of models, by the attempt that succeeded
    use: ModelUse | None = None  # with that of the steps below, of an agent
    session_id: str | None = None  # of the agent that it is, or lies below


def steps_json(events: Iterable[Event], under_way: Mapping[str, UnderWay] | None = None) -> list[JsonObject]:
    """In the order of their first events; those that have none come last."""
    steps = {step.id: step for step in fold_steps(events)}
    for id, now in (under_way or {}).items():
        step = steps.setdefault(id, StepState(id, now.kind, "running"))
        if now.how != "asleep" and step.status in ("running", "retrying", "reopened", "cancelled"):
            step.status, step.finished_at_ms, step.error, step.due = "running", None, None, None
            step.callee, step.input = now.callee, step.input or now.input
            step.attempts = max(step.attempts, now.attempt)
            step.started_at_ms = step.started_at_ms or now.started_at_ms
    for agent, slug in agents_at_work(steps):
        step = steps.setdefault(agent, StepState(agent, "agent", "running", attempts=1))
        step.kind, step.callee = "agent", slug
    _begin_with_the_first_inside(steps)
    tell_of_agents(steps)
    return [step_json(step) for step in steps.values()]


def fold_steps(events: Iterable[Event]) -> list[StepState]:
    steps: dict[str, StepState] = {}
    for event in events:
        if event.type == "run_retrying":
            for step_id in _reopened(event):
                if (step := steps.get(step_id)) is not None:
                    step.status, step.finished_at_ms, step.error = "reopened", None, None
        elif event.step is not None and event.type in _STATUS_AFTER:
            step = steps.get(event.step)
            if step is None:
                step = steps[event.step] = StepState(event.step, _kind(event), _STATUS_AFTER[event.type])
            _apply(step, event)
    return list(steps.values())


def _begin_with_the_first_inside(steps: Mapping[str, StepState]) -> None:
    """A sub-workflow's or agent's step has no attempt of its own that would say when it began."""
    for step in steps.values():
        above = step.id.rpartition("/")[0]
        while above and step.started_at_ms is not None:
            outer = steps.get(above)
            if outer is not None and outer.finished_at_ms is None:
                outer.started_at_ms = min(outer.started_at_ms or step.started_at_ms, step.started_at_ms)
            above = above.rpartition("/")[0]


def step_json(step: StepState) -> JsonObject:
    return {
        "id": step.id,
        "kind": step.kind,
        "callee": step.callee or None,
        "status": step.status,
        "attempts": step.attempts,
        "attempts_max": step.attempts_max,
        "due": step.due,
        "by": step.by or None,
        "started_at": rfc3339_or_none(step.started_at_ms),
        "finished_at": rfc3339_or_none(step.finished_at_ms),
        "input": value_of(step.input),
        "output": value_of(step.output),
        "error": step.error,
        "session_id": step.session_id,
        "usage": None if (use := step.use or step.own_use) is None else use_json(use),
    }


def _apply(step: StepState, event: Event) -> None:
    meta = event.meta
    step.status = _STATUS_AFTER[event.type]
    if event.input is not None:
        step.input = event.input
    if meta is not None:
        step.callee = meta.callee or step.callee
        step.attempts = max(step.attempts, meta.attempt)
        step.attempts_max = meta.attempts_max or step.attempts_max
        step.by = meta.by or step.by
    step.due = _due(event)
    if step.started_at_ms is None:
        step.started_at_ms = (meta.started_at_ms if meta else 0) or event.at_ms
    if event.type in _BEGINNINGS:
        return
    if event.type == "step_retrying":
        step.error = value_of(event.data)
        return
    step.finished_at_ms = (meta.finished_at_ms if meta else 0) or event.at_ms
    if step.status == "succeeded":
        step.output, step.error = event.data, None
        step.own_use = None if meta is None else meta.model_use
    else:
        step.error = value_of(event.data)
    if step.kind not in ("sleep", "hook"):
        step.attempts = max(step.attempts, 1)


def _due(event: Event) -> str | None:
    field = DUE_IN.get(event.type)
    data = value_of(event.data) if field is not None else None
    return data.get(field) if field is not None and is_object(data) else None


def _kind(event: Event) -> str:
    if event.meta is not None and event.meta.kind:
        return event.meta.kind
    group = event.type.partition("_")[0]
    return "action" if group == "step" else group


def _reopened(event: Event) -> list[str]:
    data = value_of(event.data)
    ids: list[str] = data.get("reopened", []) if is_object(data) else []
    return [step.removeprefix("step:") for step in ids]
