"""What the log's tables hold beside a run's events, made again from the events: the run, its timers, its hooks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from ksl.engine.hooks import hook_row
from ksl.engine.tokens import TokenKeys
from ksl.log.store import Change
from ksl.records import FINISHED, Event, HookRow, HookStatus, RunRow, RunStatus, TimerKind, TimerRow, Trigger
from ksl.records.moment import from_rfc3339

_ENDS = {
    "run_completed": RunStatus.SUCCEEDED,
    "run_failed": RunStatus.FAILED,
    "run_cancelled": RunStatus.CANCELLED,
}
_BEGINS: dict[str, TimerKind] = {"sleep_started": "sleep", "timer_started": "timer"}
_ANSWERS: dict[str, HookStatus] = {
    "hook_resumed": "resumed",
    "hook_rejected": "rejected",
    "hook_expired": "expired",
}


def change_of(
    events: Sequence[Event], *, workflow: str, tokens: TokenKeys, boot: str, trigger: Trigger = "api"
) -> Change:
    """A run as it stands after these events, as one change. A run under way has the status `running`: whoever
    takes it up replays it and finds out what it waits for."""
    first = events[0]
    rows = _Rows(
        RunRow(
            run_id=first.run_id,
            workflow=workflow,
            status=RunStatus.QUEUED,
            trigger=trigger,
            triggered_at_ms=first.at_ms,
            created_at_ms=first.at_ms,
        ),
        tokens,
        boot,
    )
    for event in events:
        rows.add(event)
    return Change(
        run_id=first.run_id,
        events=list(events),
        run=rows.run,
        timers_set=sorted(rows.timers.values()),
        hooks=list(rows.hooks.values()),
    )


class _Rows:
    def __init__(self, run: RunRow, tokens: TokenKeys, boot: str) -> None:
        self.run = run
        self.timers: dict[tuple[str, TimerKind], TimerRow] = {}
        self.hooks: dict[str, HookRow] = {}
        self._tokens = tokens
        self._boot = boot

    def add(self, event: Event) -> None:
        step = event.step or ""
        data: Any = json.loads(event.data or b"null")
        self.run = replace(self.run, seq=event.seq)
        match event.type:
            case "run_started":
                started = self.run.started_at_ms or event.at_ms
                self.run = replace(self.run, status=RunStatus.RUNNING, started_at_ms=started, due_ms=None)
                self.timers.pop(("", "run_retry"), None)
            case "run_retrying":
                self._retrying(event, data)
            case "run_held":
                self.run = replace(self.run, status=RunStatus.HELD)
            case "run_released":
                begun = self.run.started_at_ms is not None
                self.run = replace(self.run, status=RunStatus.RUNNING if begun else RunStatus.QUEUED)
            case "run_completed" | "run_failed" | "run_cancelled":
                self.run = replace(
                    self.run, status=_ENDS[event.type], finished_at_ms=event.at_ms, due_ms=None
                )
                self.timers.clear()
                self._turn_hooks("open", "closed", event.at_ms)
            case "sleep_started" | "timer_started":
                self._set(step, _BEGINS[event.type], from_rfc3339(data["due"]))
            case "step_retrying":
                self._set(step, "step_retry", from_rfc3339(data["next_attempt_at"]))
            case "hook_created":
                row = hook_row(
                    event, workflow=self.run.workflow, tokens=self._tokens, key_id=self._tokens.newest
                )
                self.hooks[step] = row
                if row.expires_at_ms is not None:
                    self._set(step, "hook", row.expires_at_ms)
            case "hook_resumed" | "hook_rejected" | "hook_expired":
                self._clear(step)
                if step in self.hooks:
                    by = event.meta.by or None if event.meta else None
                    self.hooks[step] = replace(
                        self.hooks[step],
                        status=_ANSWERS[event.type],
                        answered_at_ms=event.at_ms,
                        answered_by=by,
                    )
            case "sleep_completed" | "timer_fired" | "step_completed" | "step_failed" | "step_cancelled":
                self._clear(step)
            case _:
                pass

    def _retrying(self, event: Event, data: Any) -> None:
        # As `engine.ending` clears them: hooks and the run's own timeout outlive an attempt.
        self.timers = {
            key: timer
            for key, timer in self.timers.items()
            if timer.kind == "hook" or timer.step.startswith("run-timeout")
        }
        due = data.get("next_attempt_at")
        due_ms = None if due is None else from_rfc3339(due)
        if due_ms is not None:
            self._set("", "run_retry", due_ms)
        attempt = event.meta.attempt if event.meta and event.meta.attempt else self.run.attempt + 1
        if self.run.status in FINISHED:
            self._turn_hooks("closed", "open", None)
        self.run = replace(
            self.run, status=RunStatus.QUEUED, attempt=attempt, due_ms=due_ms, finished_at_ms=None
        )

    def _set(self, step: str, kind: TimerKind, due_ms: int) -> None:
        self.timers[step, kind] = TimerRow(due_ms, self.run.run_id, step, kind, boot=self._boot)

    def _clear(self, step: str) -> None:
        for key in [key for key in self.timers if key[0] == step]:
            del self.timers[key]

    def _turn_hooks(self, status: HookStatus, into: HookStatus, at_ms: int | None) -> None:
        for step, row in self.hooks.items():
            if row.status == status:
                self.hooks[step] = replace(row, status=into, answered_at_ms=at_ms)
