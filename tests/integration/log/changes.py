"""Small changes to append, and what became of them."""

from __future__ import annotations

from typing import Any

from ksl.errors import KslError
from ksl.log.store import Change, Store
from ksl.records import Event, HookRow, RunRow, RunStatus, TimerKind, TimerRow


def event(run_id: str, seq: int, **fields: Any) -> Event:
    fields = {
        "type": "step_completed",
        "step": f"fetch#{seq}",
        "at_ms": 1_000 + seq,
        "data": b'{"n": 1}',
    } | fields
    return Event(run_id=run_id, seq=seq, **fields)


def run(run_id: str, **fields: Any) -> RunRow:
    fields = {
        "workflow": "digest",
        "status": RunStatus.RUNNING,
        "trigger": "api",
        "triggered_at_ms": 1_000,
        "created_at_ms": 1_000,
    } | fields
    return RunRow(run_id=run_id, **fields)


def hook(token_hash: bytes, run_id: str, **fields: Any) -> HookRow:
    fields = {
        "step": "hook#0",
        "workflow": "digest",
        "status": "open",
        "key_id": "k1",
        "created_at_ms": 1_000,
    } | fields
    return HookRow(token_hash=token_hash, run_id=run_id, **fields)


def timer(
    due_ms: int, run_id: str = "r1", step: str = "sleep#0", *, kind: TimerKind = "sleep", boot: str = ""
) -> TimerRow:
    return TimerRow(due_ms, run_id, step, kind, boot)


class Told:
    """What the callbacks said, in order: the change's name, or its name and the error's class."""

    def __init__(self) -> None:
        self.words: list[str | tuple[str, str]] = []
        self.errors: list[KslError] = []

    def watch(self, change: Change, name: str) -> Change:
        def lost(error: KslError) -> None:
            self.errors.append(error)
            self.words.append((name, type(error).__name__))

        change.stored = lambda: self.words.append(name)
        change.lost = lost
        return change


async def put(store: Store, *changes: Change) -> None:
    """Appends and waits; whatever is lost fails the test."""
    told = Told()
    for place, change in enumerate(changes):
        store.append(told.watch(change, str(place)))
    await store.flush()
    assert told.words == [str(place) for place in range(len(changes))], told.errors
