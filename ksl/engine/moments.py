"""The moments that a run waits for: sleeps, the body's own timers, its timeout, the next attempts of its steps.

The deadline of a hook lies with the hook (`hooks.py`). A moment is armed in the turn's change, and found again by the
id of its step.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from ksl.engine import mismatch
from ksl.engine.halt import Halt
from ksl.engine.loop import RunTask
from ksl.engine.tool_run import raise_if_tool
from ksl.records import EventType, Meta, RunStatus, TimerKind, TimerRow
from ksl.records.moment import from_rfc3339, rfc3339

if TYPE_CHECKING:
    from ksl.engine.call import Call
    from ksl.engine.loop import RunTimer
    from ksl.engine.run import Run

RUN_TIMEOUT = "run-timeout#0"


def armed(run: Run) -> Iterator[TimerRow]:
    """Every timer that is running for this run."""
    yield from run.sleeps.values()
    yield from (timer for _, timer in run.timers.values())
    yield from run.backoffs.values()
    yield from (state.timer for state in run.hooks.values() if state.timer is not None)
    if run.run_timer is not None:
        yield run.run_timer


def fire(run: Run, timer: TimerRow) -> bool:
    """A moment has come. False: nothing here waits for it, and its row is only in the way."""
    step = timer.step
    if run.paused:
        return True  # it stays in the log, and is looked for again when the run is released
    armed = _armed_as(run, timer)
    if armed is None or armed.due_ms != timer.due_ms:
        return False  # another of the same id: a later attempt of the run measures anew
    match timer.kind:
        case "sleep":
            run.post("sleep_completed", step, data=b"null", cleared=armed)
        case "timer":
            run.post("timer_fired", step, cleared=armed)
        case "hook":
            run.post("hook_expired", step, data=run.hooks[step].timeout_data(), cleared=armed)
        case "step_retry":
            del run.backoffs[step]
            run.active += 1
            run.wanted[step] = run.asked[step]
            # On a slow disk the backoff can be over before the failed attempt is stored. A crash would then
            # bring both attempts again.
            run.barrier = run.seq
            run.change.timers_cleared.append(timer)
            run.finish_turn()
        case _:
            return False
    return True


def start_sleep(run: Run, call: Call) -> None:
    begun = run.history.begun.get(call.id)
    if begun is None:
        begun = run.next_recorded()  # another than this sleep's beginning is told of when it is emitted
        if begun is not None and begun.step != call.id:
            begun = None
    elif run.attempt_was_read or not run.history.is_strict(begun):
        begun = None
    if begun is not None and mismatch.drifted(run, call, begun):
        raise Halt
    run.sleeps[call.id] = _begin(
        run, "sleep_started", call.id, "sleep", delay_s=call.due_s, due_ms=call.due_ms, input=call.input
    )


def timer_wanted(run: Run, handle: RunTimer, delay_s: float) -> None:
    loop = run.loop
    assert loop is not None
    if run.halted is not None or run.evicting:
        return
    if delay_s <= 0:
        loop.ripen(handle)
        return
    raise_if_tool(run.row.trigger, run.run_id, "asyncio.sleep or a timeout of asyncio's")
    task = asyncio.current_task(loop)  # pyright: ignore[reportArgumentType]
    scope, place = (task.scope, task.place) if isinstance(task, RunTask) else (run.scope, "")
    step = scope.next_id("timer", place)
    handle.step = step
    timer = _begin(run, "timer_started", step, "timer", delay_s=delay_s)
    run.timers[step] = (handle, timer)
    if (pooled := run.history.pool.get(step)) is not None:
        heapq.heappush(run.ripe, (pooled.seq, step))


def timer_unwanted(run: Run, handle: RunTimer) -> None:
    step = handle.step
    if step is not None and (entry := run.timers.pop(step, None)) is not None and not run.replaying:
        run.change.timers_cleared.append(entry[1])


def start_timeout(run: Run, timeout_s: float) -> None:
    """Of the run, all attempts together."""
    run.run_timer = _begin(run, "timer_started", RUN_TIMEOUT, "timer", delay_s=timeout_s)


def back_off(run: Run, call: Call, due_ms: int) -> TimerRow:
    """The next attempt of a step is not made before the moment."""
    timer = TimerRow(due_ms, run.run_id, call.id, "step_retry", boot=run.host.boot)
    run.backoffs[call.id] = timer
    run.active -= 1
    return timer


def resume_backoffs(run: Run) -> None:
    """After a replay: steps that were waiting for their next attempt wait on."""
    for step in list(run.history.retrying):
        if (call := run.asked.get(step)) is not None:
            data = json.loads(run.history.retrying[step].data or b"{}")
            due_ms = from_rfc3339(data["next_attempt_at"])
            if due_ms <= run.host.clock.now_ms():
                continue  # over, and maybe cut off in the attempt that followed: it is made now
            run.wanted.pop(step, None)
            timer = back_off(run, call, due_ms)
            if run.row.status is RunStatus.RUNNING:
                # It may have fired before the clock was set back.
                run.change.timers_set.append(timer)


def _begin(
    run: Run, type: EventType, step: str, kind: TimerKind, *, delay_s: float | None, due_ms: int | None = None,
    input: bytes | None = None,
) -> TimerRow:  # fmt: skip
    """A sleep's or timer's beginning, with the moment it is due; recorded ones keep theirs."""
    begun = run.history.begun.get(step)
    if begun is None:
        # From the wall clock, not from the body's time, and rounded up: never early.
        due = due_ms if due_ms is not None else run.host.clock.now_ms() + 1 + int((delay_s or 0) * 1000)
        begun = run.emit(
            type, step, data=msgspec.json.encode({"due": rfc3339(due)}), input=input,
            meta=Meta(after=run.position),
        )  # fmt: skip
    fresh = begun.seq > run.loaded_seq
    recorded = from_rfc3339(json.loads(begun.data or b"{}")["due"])
    timer = TimerRow(recorded, run.run_id, step, kind, boot=run.host.boot if delay_s is not None else "")
    # Set again where an earlier attempt of the run had cleared it; the log keeps one row for each key.
    if fresh or (not run.replaying and step not in run.history.pool):
        run.change.timers_set.append(timer)
    return timer


def _armed_as(run: Run, timer: TimerRow) -> TimerRow | None:
    """What is armed under a timer's kind and id: perhaps for another moment."""
    step = timer.step
    match timer.kind:
        case "sleep":
            return run.sleeps.get(step)
        case "timer" if step == RUN_TIMEOUT:
            return run.run_timer
        case "timer":
            return run.timers[step][1] if step in run.timers else None
        case "hook":
            return run.hooks[step].timer if step in run.hooks else None
        case "step_retry":
            return run.backoffs.get(step)
        case _:
            return None
