"""A run that a person holds while its body is in memory: it stays there as long as steps of it are in flight."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ksl.errors import KslError
from ksl.records import Event, Meta, RunStatus

if TYPE_CHECKING:
    from ksl.engine.run import Run


def pause(
    run: Run, data: bytes, meta: Meta, *, stored: Callable[[], None], lost: Callable[[KslError], None]
) -> None:
    """Held by a person: what is in flight is still recorded, nothing more begins."""
    run.paused = True
    run.record("run_held", None, data=data, meta=meta)
    run.set_row(status=RunStatus.HELD, waiting_on=None)
    run.change.stored, run.change.lost = stored, lost
    run.flush()


def unpause(
    run: Run,
    event: Event,
    in_flight: set[str],
    *,
    stored: Callable[[], None],
    lost: Callable[[KslError], None],
) -> None:
    """Goes on, its body still in memory. `in_flight`: the steps that never stopped."""
    run.paused = False
    run.record(event.type, None, data=event.data, meta=event.meta)
    run.change.stored, run.change.lost = stored, lost
    run.in_line.clear()
    run.blocked.clear()
    run.wanted = {
        step: call
        for step, call in run.asked.items()
        if call.kind == "action" and call.id not in in_flight and call.id not in run.backoffs
    }
    run.finish_turn()
