"""A moment that a run waits for."""

from __future__ import annotations

from typing import Literal

import msgspec

# sleep: ctx.sleep. timer: the body's own asyncio timers. hook: a hook's deadline.
# step_retry, run_retry: the backoff before the next attempt of a step or of the run.
TimerKind = Literal["sleep", "timer", "hook", "step_retry", "run_retry"]


class TimerRow(msgspec.Struct, frozen=True, order=True, gc=False):  # see event.py
    """Ordered by moment, then run and step, so that two readers agree on ties."""

    due_ms: int
    run_id: str
    step: str  # bare id; for run_retry the empty string
    kind: TimerKind
    boot: str = ""  # the process that armed a *duration*; empty where only the wall clock counts
