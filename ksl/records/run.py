"""One life of a workflow, as its row in the log says. The row is a cache: its events are the run."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from ksl.records.run_term import RunTerm

Trigger = Literal["api", "cron", "webhook", "poll", "agent", "retry"]


class RunStatus(StrEnum):
    QUEUED = "queued"  # wanted; waits for a slot or for the backoff of a retry
    RUNNING = "running"  # being advanced, or a step is in flight
    SLEEPING = "sleeping"  # waits for moments only
    WAITING = "waiting"  # waits for at least one hook
    HELD = "held"  # waits for a person: code that no longer fits, a pause, poison
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINISHED = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED})

STATUS_LABELS: dict[RunStatus, str] = {
    RunStatus.QUEUED: "Queued",
    RunStatus.RUNNING: "Running",
    RunStatus.SLEEPING: "Sleeping",
    RunStatus.WAITING: "Waiting on hook",
    RunStatus.HELD: "Held",
    RunStatus.SUCCEEDED: "Success",
    RunStatus.FAILED: "Failed",
    RunStatus.CANCELLED: "Cancelled",
}


class RunRow(msgspec.Struct, frozen=True, gc=False):  # see event.py
    """Input, output and error are not here: they are the data of the run's first and last events."""

    run_id: str
    workflow: str
    status: RunStatus
    trigger: Trigger
    triggered_at_ms: int
    created_at_ms: int
    seq: int = 0  # of the run's newest event when this row was written
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    attempt: int = 1
    due_ms: int | None = None  # queued: not to be admitted before this moment
    subscriber: str | None = None
    code_version: str | None = None
    waiting_on: bytes | None = None  # JSON list of {"kind", "step", "due"?, "name"?}
    idempotency_key: str | None = None
    origin: str | None = None  # the run that this one was forked from, or repeats


class RunFilter(msgspec.Struct, frozen=True):
    workflow: str | None = None
    statuses: tuple[RunStatus, ...] = ()
    since_ms: int | None = None  # created at or after
    origin: str | None = None  # forks of this run
    code_but: tuple[tuple[str, str], ...] | None = None  # (workflow, code_version): runs of none of these
    terms: tuple[RunTerm, ...] = ()  # all of them hold
