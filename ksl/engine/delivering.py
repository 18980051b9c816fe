"""What an event does to a run: it settles what the body asked for, or begins or cancels the body."""

from __future__ import annotations

from contextvars import Context as Variables
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from ksl.engine import failures, mismatch, moments
from ksl.engine.body import Body, RunInfo
from ksl.engine.history import HOOK_OUTCOMES
from ksl.engine.loop import RunLoop

if TYPE_CHECKING:
    from ksl.engine.call import Call
    from ksl.engine.run import Run
    from ksl.records import Event


def deliver(run: Run, event: Event, value: Any = None, *, pooled: bool = False) -> None:
    """Shows one event to the body."""
    step = event.step
    type = event.type
    if type in HOOK_OUTCOMES and step not in run.hooks and step in run.history.begun:
        # Answered before this attempt has come to it: kept, as what earlier attempts left is.
        run.history.pool[step or ""] = event
        return
    if type == "run_started" and run.history.started_seq is not None:
        # A later attempt begins where the first did: what that one recorded must come to it unchanged.
        run.position = run.history.started_seq
    else:
        if event.at_ms > run.now_ms:
            run.now_ms = event.at_ms
            if run.loop is not None:
                run.loop.advance(event.at_ms / 1000)
        if event.seq > run.position:
            run.position = event.seq
    match type:
        case "step_completed" | "step_failed" | "sleep_completed":
            call = run.asked.get(step or "")
            if call is None:
                return mismatch.halt_at(run, event, "the code did not ask for it")
            if call.kind == "workflow" and not pooled:
                return mismatch.halt_at(run, event, "the sub-workflow's code had not come to its end")
            if (not run.replaying and not pooled) or mismatch.fits(run, call, event, pooled=pooled):
                settle(run, call, event, value)
        case "timer_fired" if step == moments.RUN_TIMEOUT:
            run.run_timer = None
            run.timed_out = True
            _cancel_main(run)
        case "timer_fired":
            run.fired_timer = step
            entry = run.timers.pop(step or "", None)
            if entry is None or run.loop is None:
                return mismatch.halt_at(run, event, "the code has no such timer running")
            run.loop.ripen(entry[0])
        case "hook_resumed" | "hook_rejected" | "hook_expired":
            state = run.hooks.get(step or "")
            if state is None:
                return mismatch.halt_at(run, event, "the code did not make that hook")
            closing = state.settle(event)
            if not run.replaying and not pooled:
                run.change.hooks.append(state.row)
                if closing is not None and type != "hook_expired":
                    run.change.timers_cleared.append(closing)
        case "run_started":
            _start_body(run)
        case "run_cancel_requested":
            run.cancel_requested = True
            _cancel_main(run)
        case _:
            pass


def settle(run: Run, call: Call, event: Event, value: Any) -> None:
    del run.asked[call.id]
    if call.kind == "action":
        run.active -= 1
        if run.replaying:
            run.wanted.pop(call.id, None)
    elif call.kind == "sleep":
        run.sleeps.pop(call.id, None)
    if event.type == "step_failed":
        call.set_exception(failures.step_failure(event))
        return
    if value is None and call.decode is not None:
        try:
            value = call.decode(event.data or b"null")
        except ValueError as error:
            why = f"its recorded output no longer fits the annotation of {call.callee}: {error}"
            return mismatch.halt_at(run, event, why, rule="other-output", line=call.line)
    call.set_result(value)


def _start_body(run: Run) -> None:
    info = RunInfo(
        run_id=run.run_id,
        trigger=run.row.trigger,
        triggered_at_ms=run.row.triggered_at_ms,
        subscriber=run.row.subscriber,
        attempt=run.history.attempt,
        workspaces_root=run.host.workspaces_root,
        payload_max=run.host.limits.payload,
    )
    body = Body(run, info=info, tables=run.tables, log=run.log)
    salt = int.from_bytes(blake2b(run.run_id.encode(), digest_size=7).digest()) << 4
    loop = RunLoop(run, seam=body, salt=salt)
    body.attach(loop)
    loop.advance(run.now_ms / 1000)
    run.body = body
    run.loop = loop
    run.main = loop.spawn(body.main(run.workflow, run.input), scope=run.scope, place="", context=Variables())
    if run.workflow.timeout_s is not None:
        moments.start_timeout(run, run.workflow.timeout_s)


def _cancel_main(run: Run) -> None:
    if run.main is not None:
        run.main.cancel()
