"""How attempts, steps and runs end: which event an outcome becomes, and whether something is tried again."""

from __future__ import annotations

import asyncio
import ctypes
import logging
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from ksl.define.duration import parse_duration
from ksl.engine import failures, moments
from ksl.engine.attempt import Withdrawn
from ksl.engine.halt import Halt
from ksl.errors import (
    ActionIsLeaf,
    AuthorizationFailed,
    BudgetExceeded,
    CredentialDamaged,
    CredentialNotNamed,
    ExtraMissing,
    FatalError,
    InvalidCredential,
    KeyUnusable,
    KslError,
    MissingCredential,
    ModelKeyMissing,
    ModelRefused,
    NotEncodable,
    OutputMisfit,
    PayloadTooLarge,
    RetryLater,
    RunStuck,
    RunTimedOut,
    StepInterrupted,
    ToolCannotWait,
    UnknownModel,
    UnknownSession,
    WrongKey,
)
from ksl.records import Meta, RunStatus, TimerRow
from ksl.records.moment import rfc3339

if TYPE_CHECKING:
    from ksl.engine.attempt import Result
    from ksl.engine.call import Call
    from ksl.engine.loop import RunLoop
    from ksl.engine.run import Run

# Another attempt would only come to the same.
_FINAL = (
    FatalError,
    NotEncodable,
    PayloadTooLarge,
    ActionIsLeaf,
    MissingCredential,
    InvalidCredential,
    CredentialDamaged,
    CredentialNotNamed,
    WrongKey,
    KeyUnusable,
    AuthorizationFailed,
    ExtraMissing,
    UnknownModel,
    ModelKeyMissing,
    ModelRefused,
    OutputMisfit,
    BudgetExceeded,
    ToolCannotWait,
    UnknownSession,
)
_RETRY_LATER_ATTEMPTS = 10  # where the policy allows one attempt only
_HALTS_MAX = 100  # a body that catches Halt that often is left as it is
_log = logging.getLogger("ksl.engine")


def record_attempt(run: Run, call: Call, result: Result) -> None:
    """An attempt's outcome: recorded as the step's, or followed by another attempt. Nothing where nobody waits for
    it any more."""
    step = call.id
    if run.asked.get(step) is not call:
        return
    if run.paused and isinstance(result.error, Withdrawn):
        return  # it is made when the run is released
    attempt = run.attempts.get(step, 0) + 1
    run.attempts[step] = attempt
    meta = Meta(
        attempt=attempt,
        started_at_ms=result.started_at_ms,
        finished_at_ms=result.finished_at_ms,
        after=call.after,
        kind="action",
        callee=call.callee,
        credentials=result.uses,
        model_use=result.model_use,
    )
    error = result.error
    if error is None:
        event = run.record("step_completed", step, result.data, call.input, meta)
        # Where a secret that was learned just now was masked, the body gets what is recorded.
        run.take(event, result.value if event.data is result.data else None)
        return
    data = failures.failure_data(error, step=step, attempts=attempt, type=result.type)
    before = run.history.reopened_at.get(step, 0)
    delay_s = _next_attempt_in(run, call, error, made=attempt - before)
    if delay_s is None:
        meta = replace(meta, fatal=isinstance(error, _FINAL))
        run.post("step_failed", step, data=failures.encode(data), input=call.input, meta=meta)
        return
    due_ms = run.host.clock.now_ms() + 1 + int(delay_s * 1000)
    timer = moments.back_off(run, call, due_ms)
    data |= {"attempt": attempt, "next_attempt_at": rfc3339(due_ms)}
    meta = replace(meta, attempts_max=before + _attempts_allowed(call, error))
    run.note("step_retrying", step, data=failures.encode(data), input=call.input, meta=meta, timers=(timer,))


def record_interruption(run: Run, call: Call, *, attempt: int) -> None:
    """An `at_most_once` step was under way when the process died: it is not run again."""
    error = StepInterrupted(
        "the process ended while this at_most_once step was under way; whether it took effect is not known, "
        "and it is not run again",
        type="StepInterrupted",
        step_id=call.id,
        attempts=attempt,
    )
    data = {
        "type": "StepInterrupted",
        "message": error.message,
        "step": call.id,
        "attempts": attempt,
        "traceback": "",
    }
    meta = Meta(attempt=attempt, after=call.after, kind="action", callee=call.callee)
    run.post("step_failed", call.id, data=failures.encode(data), input=call.input, meta=meta)


def conclude(run: Run) -> None:
    """The body ended: the run succeeded, failed, was cancelled, or its attempt is to be followed by another."""
    main = run.main
    assert main is not None
    for call in run.made.values():
        # A coroutine would warn of it; the step silently did not run.
        said = f"step {call.id} was called at {call.line} and never awaited, so it did not run"
        run.log.warning(said, fix="write `await` before the call")
    for call in list(run.asked.values()):
        run.forget(call)
    error: BaseException | None
    try:
        error = main.exception()
    except asyncio.CancelledError as cancelled:
        error = cancelled
    if error is not None:
        error = failures.told_apart(error)
    if run.timed_out and not run.cancel_requested:
        error = RunTimedOut(
            f"run {run.run_id} took longer than the timeout of workflow {run.workflow.slug} "
            f"({run.workflow.timeout_s:g} s). Its body was cancelled and its clean-up has run."
        )
    if run.cancel_requested and (error is None or isinstance(error, asyncio.CancelledError)):
        _finish(run, "run_cancelled", RunStatus.CANCELLED, None, Meta(attempt=run.history.attempt))
    elif error is None:
        _finish(run, "run_completed", RunStatus.SUCCEEDED, main.result(), Meta(attempt=run.history.attempt))
    else:
        _failed(run, error)
    run.flush()
    run.host.ended(run)


def halt(run: Run, error: KslError, *, hold: bool) -> None:
    """The run cannot go on. What a replay produced beyond its history was never true and is dropped."""
    if not run.caught_up:
        run.drop_turn()
    data = failures.encode(failures.failure_data(error, step=None, attempts=run.history.attempt))
    if hold:
        run.record("run_held", None, data=data, meta=Meta(attempt=run.history.attempt))
        run.set_row(status=RunStatus.HELD, waiting_on=None)
    else:
        _finish(run, "run_failed", RunStatus.FAILED, data, Meta(attempt=run.history.attempt))
    run.flush()


def update_status(run: Run) -> None:
    if run.paused or (run.active > 0 and run.row.status is RunStatus.RUNNING and run.change.run is None):
        return
    status, waiting_on = _waiting(run)
    if status is None:
        run.halted = RunStuck(
            f"the body waits at {run.body_line()} for something that cannot happen: no step, timer or hook "
            "of this run is open. Wait for a step, a hook or a timer, or set the event it waits for."
        )
        return
    if status != run.row.status or waiting_on != run.row.waiting_on or run.change.run is not None:
        run.set_row(status=status, waiting_on=waiting_on)


def _waiting(run: Run) -> tuple[RunStatus | None, bytes | None]:
    """The status of a live run and what it waits for; None where nothing can ever happen to it."""
    if run.active > 0:
        return RunStatus.RUNNING, None
    items: list[dict[str, Any]] = []
    hooks = [state for state in run.hooks.values() if state.is_awaited]
    for state in hooks:
        expires = state.row.expires_at_ms
        items.append(
            {"kind": "hook", "step": state.step, "name": state.row.name, "title": state.row.title}
            | ({} if expires is None else {"due": rfc3339(expires)})
        )
    items.extend(_moment("sleep", timer) for timer in run.sleeps.values())
    items.extend(_moment("timer", timer) for _, timer in run.timers.values())
    items.extend(_moment("retry", timer) for timer in sorted(run.backoffs.values()))
    if not items:
        return None, None
    return (RunStatus.WAITING if hooks else RunStatus.SLEEPING), msgspec.json.encode(items)


def close_tasks(loop: RunLoop) -> None:
    """Takes down every coroutine of a loop that is drained no more. What they do on the way out is discarded:
    their step calls raise Halt, and nothing they schedule runs.

    The loop is the running one meanwhile. Otherwise a step call in a `finally` would find no run around it,
    and act at once.
    """
    unended = [task for task in loop.tasks if not task.done()]
    if not unended:
        return
    with loop.entered():
        for task in unended:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            _take_down(task.get_coro())


def _take_down(coro: Any) -> None:
    # Thrown in again where a `finally` awaits: a coroutine that was only closed would be closed once more, with
    # a complaint, when it is collected.
    for _ in range(_HALTS_MAX):
        try:
            coro.throw(Halt())
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            return
    # Never collected, not even at the interpreter's exit: that would close it, outside of any run, where what it
    # goes on to call would act at once.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(coro))
    _log.warning(
        "the body %s cannot be taken out of memory, since it catches BaseException in a loop; it stays there and does "
        "nothing. Let asyncio.CancelledError and other BaseExceptions pass.",
        getattr(coro, "__qualname__", coro),
    )


def _failed(run: Run, error: BaseException) -> None:
    data = failures.failure_data(error, step=None, attempts=run.history.attempt)
    reopened = failures.reopened_steps(error)
    if not reopened and failures.timed_out(error) and run.fired_timer is not None:
        reopened = [run.fired_timer]
    attempt = run.history.attempt
    policy = run.workflow.retry
    due_ms = run.host.clock.now_ms() + 1 + int(policy.delay_s(attempt, run.host.rng) * 1000)
    # The timeout bounds all attempts together: one that could only begin after it is not promised.
    too_late = run.run_timer is not None and due_ms >= run.run_timer.due_ms
    final = run.cancel_requested or run.timed_out or too_late or failures.is_final(error)
    if final or attempt >= policy.attempts or not isinstance(error, policy.on):
        meta = Meta(attempt=attempt, reopens=tuple(reopened))
        _finish(run, "run_failed", RunStatus.FAILED, failures.encode(data), meta)
        return
    retrying = {
        "reopened": reopened,
        "attempt": attempt + 1,
        "next_attempt_at": rfc3339(due_ms),
        "error": data,
    }
    meta = Meta(attempt=attempt + 1, attempts_max=policy.attempts)
    run.record("run_retrying", None, data=failures.encode(retrying), meta=meta)
    _clear_timers(run, keep_hooks=True)
    run.change.timers_set.append(TimerRow(due_ms, run.run_id, "", "run_retry", boot=run.host.boot))
    run.set_row(status=RunStatus.QUEUED, due_ms=due_ms, attempt=attempt + 1, waiting_on=None)


def _finish(run: Run, type: Any, status: RunStatus, data: bytes | None, meta: Meta) -> None:
    event = run.record(type, None, data=data, meta=meta)
    _clear_timers(run, keep_hooks=False)
    if run.hooks:
        run.change.hooks.extend(state.close(event.at_ms) for state in run.hooks.values() if state.is_open)
    run.set_row(status=status, finished_at_ms=event.at_ms, waiting_on=None, due_ms=None)


def _clear_timers(run: Run, *, keep_hooks: bool) -> None:
    cleared = run.change.timers_cleared
    cleared.extend(run.sleeps.values())
    cleared.extend(run.backoffs.values())
    if run.timers:
        cleared.extend([timer for _, timer in run.timers.values()])
    if not keep_hooks:
        if run.hooks:
            cleared.extend([state.timer for state in run.hooks.values() if state.timer is not None])
        if run.run_timer is not None:
            cleared.append(run.run_timer)


def _next_attempt_in(run: Run, call: Call, error: BaseException, *, made: int) -> float | None:
    """Seconds until the next attempt, or None where there is none. `made` counts since the last reopening."""
    assert call.action is not None
    policy = call.action.retry
    if isinstance(error, _FINAL):
        return None
    if isinstance(error, RetryLater):
        if made >= _attempts_allowed(call, error):
            return None
        try:
            after_s = parse_duration(error.after)
        except ValueError:
            after_s = 0.0
        return max(after_s, policy.delay_s(made, run.host.rng) if policy.attempts > 1 else 0.0)
    if made >= policy.attempts or not isinstance(error, policy.on):
        return None
    return policy.delay_s(made, run.host.rng)


def _attempts_allowed(call: Call, error: BaseException) -> int:
    assert call.action is not None
    attempts = call.action.retry.attempts
    return _RETRY_LATER_ATTEMPTS if attempts == 1 and isinstance(error, RetryLater) else attempts


def _moment(kind: str, timer: TimerRow) -> dict[str, Any]:
    return {"kind": kind, "step": timer.step, "due": rfc3339(timer.due_ms)}
