"""A database with a run in every state, and firings, written by hand at a moment that stands still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change
from ksl.log.trigger_rows import TriggerRows
from ksl.records import (
    Event,
    EventType,
    FiringRow,
    Meta,
    RunRow,
    RunStatus,
    StartedRun,
    TimerRow,
    Trigger,
    Verdict,
)

NOW_MS = 1_750_000_000_000
_ERROR = b'{"type": "Carrier", "message": "carrier API refused (503)", "step": "ship-order#0"}'
_HELD = b'{"type": "ReplayMismatch", "message": "the code asks for another step", "step": "press#0"}'
_HOOK = b'[{"kind": "hook", "step": "hook#0", "due": "2025-06-17T13:26:40.000Z"}]'
_SLEEP = b'[{"kind": "sleep", "step": "sleep#0", "due": "2025-06-16T14:06:40.000Z"}]'

# Workflow, status, how it started, how long ago it did in seconds, and what it ended with or waits for.
_RUNS: list[tuple[str, RunStatus, Trigger, int, dict[str, Any]]] = [
    ("signup", RunStatus.SUCCEEDED, "cron", 7_200, {"last": "run_completed", "data": b"null"}),
    ("fulfil-order", RunStatus.FAILED, "webhook", 3_600, {"last": "run_failed", "data": _ERROR}),
    ("echo", RunStatus.CANCELLED, "api", 1_800, {"last": "run_cancelled"}),
    ("many", RunStatus.HELD, "api", 900, {"last": "run_held", "data": _HELD}),
    ("refund-approval", RunStatus.WAITING, "api", 600, {"waits": _HOOK}),
    ("signup", RunStatus.SLEEPING, "cron", 300, {"waits": _SLEEP}),
    ("unlucky", RunStatus.SLEEPING, "api", 120, {"step": "score-lead#0", "attempt": 2, "most": 5}),
    ("long-work", RunStatus.QUEUED, "retry", 60, {"step": "", "attempt": 2, "most": 3}),
    ("long-work", RunStatus.RUNNING, "agent", 8, {}),
    ("echo", RunStatus.QUEUED, "poll", 2, {}),
]


def run_id_of(number: int) -> str:
    return f"run_{number:020}"


async def write_resting(path: Path) -> None:
    store = await SqliteStore.open(path, durability="process")
    for number, (workflow, status, trigger, age_s, more) in enumerate(_RUNS):
        store.append(_change(run_id_of(number), workflow, status, trigger, NOW_MS - age_s * 1_000, more))
    verdicts: list[Verdict] = ["started", "started", "skipped", "rejected", "failed", "started"]
    firings = [
        *(_firing("orders", "webhook", n, verdict) for n, verdict in enumerate(verdicts)),
        *(_firing("mornings", "cron", n, "started", skipped=2 if n == 30 else 0) for n in range(40)),
    ]
    store.append(Change("", triggers=TriggerRows(at_ms=NOW_MS, firings=firings, refused={"orders": 1})))
    await store.close()


def _change(
    run_id: str, workflow: str, status: RunStatus, trigger: Trigger, at_ms: int, more: dict[str, Any]
) -> Change:
    happened = [Event(run_id, 1, "run_created", None, at_ms, b'{"id": "o-114"}', None, Meta())]
    started = status is not RunStatus.QUEUED or "step" in more
    if started:
        happened.append(Event(run_id, 2, "run_started", None, at_ms, None, None, Meta(attempt=1)))
    timers: list[TimerRow] = []
    if "step" in more:
        step, due_ms = more["step"], NOW_MS + 12_500
        told: EventType = "step_retrying" if step else "run_retrying"
        meta = Meta(attempt=more["attempt"], attempts_max=more["most"], kind="action")
        happened.append(Event(run_id, 3, told, step or None, at_ms + 500, b"{}", None, meta))
        timers.append(TimerRow(due_ms, run_id, step, "step_retry" if step else "run_retry", "b"))
    if (last := more.get("last")) is not None:
        seq = len(happened) + 1
        happened.append(
            Event(run_id, seq, last, None, at_ms + 4_200, more.get("data"), None, Meta(attempt=1))
        )
    row = RunRow(
        run_id=run_id,
        workflow=workflow,
        status=status,
        trigger=trigger,
        triggered_at_ms=at_ms,
        created_at_ms=at_ms,
        seq=len(happened),
        started_at_ms=at_ms if started else None,
        finished_at_ms=at_ms + 4_200 if last not in (None, "run_held") else None,
        attempt=more["attempt"] if more.get("step") == "" else 1,
        code_version="0123456789ab",
        waiting_on=more.get("waits"),
    )
    return Change(run_id=run_id, events=happened, run=row, timers_set=timers)


def _firing(source: str, kind: Any, number: int, verdict: Verdict, *, skipped: int = 0) -> FiringRow:
    at_ms = NOW_MS - (60 - number) * 600_000
    why = {"rejected": "no signature", "skipped": "the filter said no", "failed": "no such field"}
    run = StartedRun(run_id=run_id_of(number), workflow="fulfil-order")
    return FiringRow(
        firing_id=f"fire_{source}_{number}",
        source=source,
        kind=kind,
        at_ms=at_ms,
        nominal_ms=at_ms,
        verdict=verdict,
        reason=why.get(verdict, ""),
        payload=b'{"id": "o-114"}',
        runs=(run,) if verdict == "started" else (),
        skipped=skipped,
        by="10.0.0.9" if verdict == "rejected" else "",
    )
