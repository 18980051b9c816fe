"""Replay: the events of a run's newest attempt, delivered in their order as if they came now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ksl.engine import ending, mismatch, moments
from ksl.engine.delivering import deliver
from ksl.engine.history import EMITTED, NOTES

if TYPE_CHECKING:
    from ksl.engine.call import Call
    from ksl.engine.loop import Entered
    from ksl.engine.run import Run


def catch_up(run: Run) -> None:
    """Brings the body to where its history ends. Nothing acts and nothing is written before that."""
    events = run.history.current
    run.replaying = run.log.muted = True
    before: Entered = None
    entered = False
    try:
        while run.cursor < len(events) and run.halted is None:
            event = events[run.cursor]
            run.cursor += 1
            if event.type in NOTES:
                continue
            if event.type in EMITTED:
                mismatch.halt_at(run, event, "the code did not ask for it there")
                break
            deliver(run, event)
            if not entered and run.loop is not None:
                # Once for the whole replay: it costs as much as a step.
                entered, before = True, run.loop.enter()
            run.settle()
            if run.main is not None and run.main.done():
                # What it left in flight is cancelled when it is concluded, and finds those events then.
                for event in run.events_left():
                    if event.type != "step_cancelled":
                        mismatch.halt_at(run, event, "the code's body had already ended")
                break
    finally:
        run.replaying = run.log.muted = False
        if entered and run.loop is not None:
            run.loop.leave(before)
    if run.halted is not None or run.main is None:
        return
    moments.resume_backoffs(run)
    interrupted = [call for step, call in run.wanted.items() if step in run.history.interrupted]
    for call in interrupted:
        del run.wanted[call.id]
    run.finish_turn()
    run.caught_up = run.halted is None
    for call in interrupted:
        if run.asked.get(call.id) is call:  # else the one before it ended the run
            _interrupted(run, call)


def _interrupted(run: Run, call: Call) -> None:
    if run.host.goes_on(run, call):
        return  # this process began it, and knows or will know what became of it
    made = run.history.interrupted[call.id].meta
    ending.record_interruption(run, call, attempt=made.attempt if made else 1)
