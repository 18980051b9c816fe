"""What a run's events say of each of its steps, one reading of a call site at a time.

An *occurrence* is one step id. Only what is recorded is told: a step in flight has no event until it ends, but for
one whose start is recorded (`at_most_once`), so what the runtime knows of steps in flight comes in beside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ksl.build.canvas.lights import NodeState
from ksl.records import Event
from ksl.records.moment import from_rfc3339
from ksl.views.steps import DUE_IN
from ksl.views.values import is_list, is_object, value_of

Kind = Literal["step", "sleep", "hook"]


@dataclass(slots=True)
class Occurrence:
    """`settled`: whether its failure was handled is known, since the body around it has ended."""

    id: str
    kind: Kind
    state: NodeState = "pending"
    tries: int = 0
    failure: str = ""  # the newest one's type
    due_ms: int | None = None  # of the next attempt, of a sleep's end, of a hook's deadline
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    seq: int = 0  # of its newest event
    after: int = 0  # seq of the newest event that the body had seen when it asked for it
    settled: bool = False
    before: NodeState | None = None  # what it was before a retry of the run took it up again

    @property
    def scope(self) -> str:
        """The step id of the sub-workflow that it belongs to; empty in the run's own body."""
        return self.id.rpartition("/")[0]

    @property
    def site(self) -> tuple[str, str]:
        """The key, and the place of the task that it was asked for in."""
        key, _, place = self.id.rpartition("/")[2].rpartition("#")[0].partition("[")
        return key, place.removesuffix("]")


class Occurrences:
    """Folds events in order."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.by_id: dict[str, Occurrence] = {}
        self.attempt_seq = 0  # where the newest attempt of the run began
        self._unsettled: dict[str, Occurrence] = {}
        for event in events:
            self._take(event)

    def of_attempt(self, occurrence: Occurrence) -> bool:
        """Whether the newest attempt of the run has recorded anything of it."""
        return occurrence.seq > self.attempt_seq

    def _take(self, event: Event) -> None:
        match event.type:
            case "run_retrying":
                self._retrying(event)
            case "run_started":
                self.attempt_seq = event.seq
                for each in self.by_id.values():
                    if each.before is not None and each.state == "retrying":
                        each.state, each.due_ms = "pending", None
            case "run_completed" | "run_cancelled":
                self._settle("", ())
            case "run_failed":
                self._settle("", _failed_steps(event))
            case _:
                if event.step is not None and event.type in _AFTER:
                    self._step(event, event.step)

    def _step(self, event: Event, id: str) -> None:
        kind, state = _AFTER[event.type]
        each = self.by_id.get(id)
        if each is None:
            each = self.by_id[id] = Occurrence(id, kind)
        elif each.state not in ("running", "retrying", "waiting"):
            each.started_at_ms = None  # it is asked for again
        meta = event.meta
        each.state, each.seq, each.before = state, event.seq, None
        each.settled, each.finished_at_ms = False, None
        if state == "failed":
            self._unsettled[id] = each
        else:
            self._unsettled.pop(id, None)
        if meta is not None:
            each.after = meta.after
            each.tries = max(each.tries, meta.attempt)
        if each.started_at_ms is None:
            each.started_at_ms = (meta.started_at_ms if meta else 0) or event.at_ms
        data = value_of(event.data) if event.type in _TELLS else None
        told = data if is_object(data) else {}
        if (due := DUE_IN.get(event.type)) is not None:
            each.due_ms = _moment(told.get(due))
        match event.type:
            case "step_retrying":
                each.failure = str(told.get("type") or "")
            case "sleep_started" | "hook_created" | "step_started":
                pass
            case _:
                each.finished_at_ms = (meta.finished_at_ms if meta else 0) or event.at_ms
                if state == "failed":
                    each.failure = str(told.get("type") or "") or _HOOK_FAILURES.get(event.type, "")
                if kind == "step" and state != "cancelled":
                    each.tries = max(each.tries, 1)
                # The body of a sub-workflow ends with its step, and what failed in it was handled or was not.
                reopens = meta.reopens if meta is not None and state == "failed" else ()
                if event.type in ("step_completed", "step_failed") and meta is not None:
                    if meta.kind in ("workflow", "agent"):
                        self._settle(id, (*reopens, *_failed_steps(event)) if state == "failed" else ())

    def _settle(self, scope: str, left_it: Iterable[str]) -> None:
        """A body ended, and these steps' failures left it: every other failure in it was handled."""
        named = set(left_it)
        below = f"{scope}/" if scope else ""
        for each in [each for each in self._unsettled.values() if each.id.startswith(below)]:
            del self._unsettled[each.id]
            each.settled = True
            if each.id not in named:
                each.state = "caught"

    def _retrying(self, event: Event) -> None:
        data = value_of(event.data)
        told = data if is_object(data) else {}
        listed = told.get("reopened")
        reopened = {str(step).removeprefix("step:") for step in listed} if is_list(listed) else set[str]()
        self._settle("", reopened)
        self.attempt_seq = event.seq
        due_ms = _moment(told.get("next_attempt_at"))
        for each in self.by_id.values():
            if each.id in reopened:
                each.before, each.state, each.due_ms = each.before or each.state, "retrying", due_ms


_AFTER: dict[str, tuple[Kind, NodeState]] = {
    "step_started": ("step", "running"),
    "step_completed": ("step", "done"),
    "step_retrying": ("step", "retrying"),
    "step_failed": ("step", "failed"),
    "step_cancelled": ("step", "cancelled"),
    "sleep_started": ("sleep", "waiting"),
    "sleep_completed": ("sleep", "done"),
    "hook_created": ("hook", "waiting"),
    "hook_resumed": ("hook", "done"),
    "hook_rejected": ("hook", "failed"),
    "hook_expired": ("hook", "failed"),
}
_TELLS = frozenset(
    {"step_retrying", "step_failed", "sleep_started", "hook_created", "hook_rejected", "hook_expired"}
)
_HOOK_FAILURES = {"hook_rejected": "HookRejected", "hook_expired": "HookTimeout"}


def _failed_steps(event: Event) -> tuple[str, ...]:
    """The steps whose failure reached the top of a body, as its failure names them."""
    named = list(event.meta.reopens) if event.meta is not None else []
    cause = value_of(event.data)
    while is_object(cause):
        if isinstance(step := cause.get("step"), str):
            named.append(step)
        cause = cause.get("cause")
    return tuple(named)


def _moment(text: object) -> int | None:
    return from_rfc3339(text) if isinstance(text, str) else None
