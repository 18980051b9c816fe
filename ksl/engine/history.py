"""A run's events, sorted for replay: what earlier attempts left, and what this attempt went through.

Pure: events in, tables out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from ksl.records import Event

OUTCOMES = frozenset(
    {
        "step_completed",
        "step_failed",
        "sleep_completed",
        "hook_resumed",
        "hook_rejected",
        "hook_expired",
        "timer_fired",
    }
)
HOOK_OUTCOMES = frozenset({"hook_resumed", "hook_rejected", "hook_expired"})
# Written by the body's own doing: on replay the code must ask for them in their places.
EMITTED = frozenset({"sleep_started", "hook_created", "timer_started", "step_cancelled"})
# Neither delivered nor asked for: what the engine notes beside.
NOTES = frozenset({"run_created", "step_started", "step_retrying", "run_held", "run_released"})


class History(msgspec.Struct):
    """`current` is replayed in order. `pool` holds the outcomes of earlier attempts of the run that the next
    one is given instead of running the steps again, `begun` their sleeps', hooks' and timers' beginnings."""

    attempt: int = 1
    started_at_ms: int | None = None  # of the first attempt: where the body's time begins,
    started_seq: int | None = None  # and its history
    seed: str = ""  # of the run's random draws, where it is not the run's own id
    drift_accepted_before: int = 0  # seq: older outcomes stand whatever input the code gives now
    current: list[Event] = []
    pool: dict[str, Event] = {}
    begun: dict[str, Event] = {}
    cancelled: dict[str, Event] = {}
    attempts: dict[str, int] = {}  # made so far, per step
    reopened_at: dict[str, int] = {}  # attempts made when it was reopened
    retrying: dict[str, Event] = {}  # newest backoff, no outcome since
    interrupted: dict[str, Event] = {}  # step_started without outcome
    # Seq of the newest outcome that an earlier attempt saw. What was put into a log by hand does not say when
    # it was asked for, so nothing follows from it.
    explored: int = 0
    _reopened: list[tuple[int, int]] = []

    @property
    def has_begun(self) -> bool:
        """Whether the newest attempt of the run has a body."""
        return any(event.type == "run_started" for event in self.current)

    def is_strict(self, event: Event) -> bool:
        """Whether the body must ask for this pooled outcome exactly as it did. What was asked for after a
        failure that was reopened since may differ: the failure is gone."""
        after = event.meta.after if event.meta else 0
        return not any(failed <= after and event.seq < reopened for failed, reopened in self._reopened)

    def is_certain(self, event: Event) -> bool:
        """Whether code that ended with this outcome must end so again: it had seen no failure that was reopened
        since. A log put together by hand does not say."""
        known = event.meta is not None and event.meta.after > 0
        return known and not any(failed <= event.seq < reopened for failed, reopened in self._reopened)

    def is_new(self, step: str, after: int) -> bool:
        """Whether an earlier attempt, having seen what the body had at `after`, did not ask for this step.

        Certain only below the newest event that an attempt saw: there it may have raised before it asked.
        """
        return (
            after < self.explored
            and step not in self.pool
            and step not in self.cancelled
            and step not in self.begun
            and step not in self.reopened_at
            and not any(failed <= after for failed, _ in self._reopened)
        )

    def reopen(self, retry: Event) -> None:
        """A `run_retrying`: the attempt before it goes to the pool, without the failures it names."""
        for event in self.current:
            if event.step is not None:
                self._pool(event, event.step)
                if event.type in OUTCOMES and event.meta is not None and event.meta.after:
                    self.explored = event.seq
        names: list[str] = json.loads(retry.data or b"{}").get("reopened", [])
        for step in names:
            failed = self.pool.pop(step, None)
            self.begun.pop(step, None)
            self.reopened_at[step] = self.attempts.get(step, 0)
            if failed is not None:
                self._reopened.append((failed.seq, retry.seq))
        # A timer that had not fired belonged to the attempt; the next one measures anew. A sleep is the run's.
        for step in [
            step
            for step, event in self.begun.items()
            if event.type == "timer_started" and step not in self.pool
        ]:
            if not step.startswith("run-timeout"):
                del self.begun[step]
        self.retrying.clear()
        self.current = []
        self.attempt = retry.meta.attempt if retry.meta and retry.meta.attempt else self.attempt + 1

    def note(self, event: Event) -> None:
        """Counts of attempts and open ends, for any event of a step."""
        step = event.step
        if step is None:
            return
        made = event.meta.attempt if event.meta else 0
        match event.type:
            case "step_completed" | "step_failed" | "step_cancelled":
                if made >= self.attempts.get(step, 0):
                    self.attempts[step] = made
                if self.retrying or self.interrupted:
                    self._is_over(step)
            case "step_started":
                self.interrupted[step] = event
            case "step_retrying":
                self._is_over(step)
                self.attempts[step] = made
                self.retrying[step] = event
            case _:
                pass

    def _is_over(self, step: str) -> None:
        """What was open of the step is no longer."""
        self.retrying.pop(step, None)
        self.interrupted.pop(step, None)

    def _pool(self, event: Event, step: str) -> None:
        if event.type in OUTCOMES:
            self.pool[step] = event
        elif event.type == "step_cancelled":
            self.cancelled[step] = event
        elif event.type in EMITTED:
            self.begun[step] = event


def read_history(events: Sequence[Event]) -> History:
    """The history of an unfinished run, or of one that is about to be retried."""
    history = History()
    for event in events:
        if event.type == "run_retrying":
            history.reopen(event)
            continue
        history.note(event)
        if event.type == "run_created" and event.meta is not None:
            history.seed = event.meta.seed
        elif event.type == "run_released" and json.loads(event.data or b"{}").get("accept_drift"):
            history.drift_accepted_before = event.seq
        if event.type == "run_started" and history.started_at_ms is None:
            history.started_at_ms = event.at_ms
            history.started_seq = event.seq
        history.current.append(event)
    return history
