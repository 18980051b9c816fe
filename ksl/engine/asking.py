"""What a body asks of its run: the methods of `durable.Durable`, bound in `Run`.

A step is asked for when something first waits for it. Its outcome comes from what earlier attempts of the run left, if
they left one, else from performing it.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ksl.define.codec import Codec
from ksl.engine import delivering, failures, mismatch, moments
from ksl.engine.halt import Halt
from ksl.engine.hooks import HookState
from ksl.engine.tokens import LOST
from ksl.errors import ReplayMismatch, TooManySteps
from ksl.records import Meta

if TYPE_CHECKING:
    from ksl.define.seam import HookSpec
    from ksl.engine.call import Call
    from ksl.engine.run import Run


def ask(run: Run, call: Call) -> None:
    if run.halted is not None or run.evicting:
        raise Halt
    run.steps_asked += 1
    if run.steps_asked > run.host.limits.steps:
        run.halted = TooManySteps(
            f"the run asked for more than {run.host.limits.steps:,} steps (limits.steps); the next would be "
            f"{call.id} at {call.line}. Nothing of it was executed. Split the work over several runs, or raise "
            "the limit in ksl.toml and `ksl runs retry` it."
        )
        raise Halt
    call.after = run.position
    run.asked[call.id] = call
    history = run.history
    pooled = history.pool.get(call.id)
    if run.position < history.explored and not run.attempt_was_read and history.is_new(call.id, run.position):
        run.halted = ReplayMismatch(
            f"run {run.run_id}: the code asks for step:{call.id} at {call.line}, for which an earlier attempt "
            "of the run, having seen the same, did not ask. Nothing was executed; the run is held. Restore the "
            f"code it was started with and `ksl runs retry {run.run_id}`.",
            rule="step-added",
            line=call.line,
        )
        raise Halt
    if pooled is not None:
        heapq.heappush(run.ripe, (pooled.seq, call.id))
    match call.kind:
        case "action":
            run.active += 1
            if pooled is None:
                run.wanted[call.id] = call
        case "sleep":
            moments.start_sleep(run, call)
        case "workflow":
            assert call.start is not None
            call.task = call.start()


def forget(run: Run, call: Call) -> None:
    if run.halted is not None or run.evicting or run.asked.pop(call.id, None) is None:
        return
    step = call.id
    if call.kind == "action":
        if step in run.backoffs:
            run.change.timers_cleared.append(run.backoffs.pop(step))
        else:
            run.active -= 1
            had_begun = run.wanted.pop(step, None) is None
            if had_begun and not run.replaying:
                run.host.abandon(run, call)
    elif call.kind == "sleep" and step in run.sleeps:
        run.change.timers_cleared.append(run.sleeps.pop(step))
    if step not in run.history.cancelled or not run.history.is_strict(run.history.cancelled[step]):
        run.emit(
            "step_cancelled",
            step,
            meta=Meta(
                after=run.position,
                kind=call.what if call.kind == "workflow" else call.kind,
                callee=call.callee,
            ),
        )


def settled_inside(run: Run, call: Call, data: bytes | None, error: BaseException | None) -> None:
    if run.halted is not None or run.evicting or run.asked.get(call.id) is not call:
        return
    step = call.id
    if data is None and error is None:
        del run.asked[step]
        call.cancel_now()
        run.emit("step_cancelled", step, meta=Meta(after=call.after, kind=call.what, callee=call.callee))
        return
    pooled = run.history.pool.get(step)
    meta = Meta(attempt=1, after=call.after, kind=call.what, callee=call.callee)
    if pooled is not None:
        if mismatch.ended_otherwise(run, call, pooled, failed=error is not None):
            return
        event = pooled
    elif error is None:
        event = run.emit("step_completed", step, data=data, input=call.input, meta=meta)
    else:
        failure = failures.failure_data(error, step=step, attempts=1)
        # A group of failures, or a timeout, has no one cause that could name what is to run again.
        reopens = failures.reopened_steps(error)
        if not reopens and failures.timed_out(error) and run.fired_timer is not None:
            reopens = [run.fired_timer]
        meta = replace(meta, fatal=failures.is_final(error), reopens=tuple(reopens))
        event = run.emit("step_failed", step, data=failures.encode(failure), input=call.input, meta=meta)
    if event.seq > run.loaded_seq or mismatch.fits(run, call, event, pooled=pooled is not None):
        delivering.settle(run, call, event, None)


def hook(run: Run, step: str, spec: HookSpec) -> tuple[str, str]:
    if run.halted is not None or run.evicting:
        raise Halt
    codec = Codec(spec.schema if spec.schema is not None else Any, where=f"the schema of hook {step}")
    state = HookState(run, step, spec, codec)
    begun = run.history.begun.get(step)
    event = begun or run.emit(
        "hook_created",
        step,
        data=state.created_data(run.host.clock.now_ms()),
        meta=Meta(after=run.position),
    )
    state.created(event, workflow=run.workflow.slug, key_id=run.host.tokens.newest)
    tokens, key_id = run.host.tokens, state.row.key_id
    token = tokens.token(run.run_id, step, key_id=key_id) if key_id in tokens else LOST
    run.hooks[step] = state
    fresh = event.seq > run.loaded_seq
    # The deadline is set again in a later attempt: it went with the run's end, or came in between.
    if state.timer is not None and (fresh or (not run.replaying and step not in run.history.pool)):
        run.change.timers_set.append(state.timer)
    if fresh:
        run.change.hooks.append(state.row)
        run.barrier = max(run.barrier, event.seq)
    if (pooled := run.history.pool.get(step)) is not None:
        heapq.heappush(run.ripe, (pooled.seq, step))
    return token, run.host.hook_url(token)


def hook_outcome(run: Run, step: str) -> Awaitable[Any]:
    if run.halted is not None or run.evicting or run.loop is None:
        raise Halt
    return run.hooks[step].wait(run.loop)
