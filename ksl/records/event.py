"""One immutable row of the log."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from ksl.records.credential import CredentialUse
from ksl.records.model_use import ModelUse

EventType = Literal[
    "run_created",
    "run_started",
    "step_started",
    "step_completed",
    "step_retrying",
    "step_failed",
    "step_cancelled",
    "sleep_started",
    "sleep_completed",
    "hook_created",
    "hook_resumed",
    "hook_rejected",
    "hook_expired",
    "run_retrying",
    "run_held",
    "run_released",
    "run_completed",
    "run_failed",
    "run_cancel_requested",
    "run_cancelled",
    "timer_started",
    "timer_fired",
]
EVENT_TYPES: frozenset[str] = frozenset(get_args(EventType))


# Text and numbers refer to nothing in a circle, so the collector need not look at them (`gc=False`).
class Meta(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is known about an event beside the thing itself. Times are Unix milliseconds, UTC."""

    attempt: int = 0  # which attempt of the step this is the outcome of, from 1; 0: not an attempt
    started_at_ms: int = 0
    finished_at_ms: int = 0
    after: int = 0  # seq of the newest event the body had seen when it asked for this step
    by: str = ""  # who acted, for hooks and operations on a run
    fatal: bool = False  # the failure forbids every retry
    attempts_max: int = 0  # of a failed attempt that another follows: the last one that the policy allows
    kind: str = ""  # what the step is: action, workflow, agent, llm, sleep, hook, timer
    callee: str = ""  # slug of what was called
    origin: str = ""  # of a fork or a repetition: the run it was made from
    seed: str = ""  # of a fork: whose random draws its history holds
    source: str = ""  # of a run that a trigger started: the source's slug
    firing: str = ""  # and the firing's id
    skipped: int = 0  # and the ticks that it stands for beside its own
    credentials: tuple[CredentialUse, ...] = ()  # that the attempt was given
    model_use: ModelUse | None = None  # by the attempt
    reopens: tuple[str, ...] = ()  # of a failed attempt of a run: the steps whose failure reached the top


class Event(msgspec.Struct, frozen=True, gc=False):
    """`seq` counts from 1 within a run, without gaps. `data` and `input` are JSON text in UTF-8."""

    run_id: str
    seq: int
    type: EventType
    step: str | None  # bare step id, "charge-card#0"; shown to users as "step:charge-card#0"
    at_ms: int
    data: bytes | None = None
    input: bytes | None = None
    meta: Meta | None = None
