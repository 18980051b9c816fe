"""A run's status as its events alone tell it.

Whether a live run is running, sleeping or waiting depends on what its body asked for, and a step that is under
way leaves no event; that part only a replay can say. So the fold names what is possible.
"""

from __future__ import annotations

from collections.abc import Sequence

from ksl.records import Event, RunStatus

ACTIVE = frozenset({RunStatus.RUNNING, RunStatus.SLEEPING, RunStatus.WAITING})


def possible_statuses(events: Sequence[Event]) -> frozenset[RunStatus]:
    status: frozenset[RunStatus] = frozenset()
    begun = False
    moments: set[str] = set()  # sleeps, timers, backoffs and hook deadlines that are open
    hooks: set[str] = set()
    for event in events:
        step = event.step or ""
        match event.type:
            case "run_created" | "run_retrying":
                status = frozenset({RunStatus.QUEUED})
            case "run_started":
                status, begun = ACTIVE, True
            case "run_held":
                status = frozenset({RunStatus.HELD})
            case "run_released":
                status = ACTIVE if begun else frozenset({RunStatus.QUEUED})
            case "run_completed":
                status = frozenset({RunStatus.SUCCEEDED})
            case "run_failed":
                status = frozenset({RunStatus.FAILED})
            case "run_cancelled":
                status = frozenset({RunStatus.CANCELLED})
            case "sleep_started" | "timer_started" | "step_retrying":
                moments.add(step)
            case "hook_created":
                hooks.add(step)
            case "hook_resumed" | "hook_rejected" | "hook_expired":
                hooks.discard(step)
            case "sleep_completed" | "timer_fired" | "step_completed" | "step_failed" | "step_cancelled":
                moments.discard(step)
            case _:
                pass
    if status == ACTIVE:
        status -= {RunStatus.SLEEPING} if not moments else set()
        status -= {RunStatus.WAITING} if not hooks else set()
    return status
