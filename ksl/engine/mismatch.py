"""Whether what is recorded is what the code asks for, and the sentence that holds the run where it is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from ksl.engine.divergence import broken_rule
from ksl.engine.masked import fits_masked
from ksl.engine.tokens import LOST
from ksl.errors import InputDrift, ReplayMismatch
from ksl.records import Meta

if TYPE_CHECKING:
    from ksl.engine.call import Call
    from ksl.engine.run import Run
    from ksl.records import Event

_NONE = Meta()
_SHOWN_MAX = 200  # characters of an input


def fits(run: Run, call: Call, event: Event, *, pooled: bool) -> bool:
    """Whether a recorded outcome is of the step that the code asked for."""
    if not run.replaying and not pooled:
        return True
    meta = event.meta or _NONE
    if meta.callee == call.callee and meta.after == call.after and event.input == call.input:
        return True
    if pooled and (run.attempt_was_read or not run.history.is_strict(event)):
        return True
    if meta.callee and meta.callee != call.callee:
        why = f"the code calls {call.callee} there ({call.line}), not {meta.callee}"
        halt_at(run, event, why, rule="other-callee", line=call.line)
        return False
    if meta.after and meta.after != call.after:
        halt_at(
            run,
            event,
            f"it was asked for after event {meta.after}, the code asks for it after event {call.after} "
            f"({call.line})",
            rule="moved",
            line=call.line,
        )
        return False
    return not drifted(run, call, event)


def drifted(run: Run, call: Call, event: Event) -> bool:
    """Whether the step was recorded with another input, and nobody has accepted that."""
    accepted = event.seq < run.history.drift_accepted_before
    if event.input is not None and not accepted and not _same_input(event.input, call):
        run.halted = InputDrift(
            f"run {run.run_id}: step {call.id} was recorded at event {event.seq} with the input "
            f"{_shorten(event.input)}, the code asks for it with {_shorten(call.input)} "
            f"({call.line}). Nothing was executed; the run is held. Restore the code and "
            f"`ksl runs retry {run.run_id}`, or accept the recorded outcome with "
            f"`ksl runs release {run.run_id} --accept-drift`.",
            line=call.line,
        )
        return True
    return False


def ended_otherwise(run: Run, call: Call, pooled: Event, *, failed: bool) -> bool:
    """Whether a sub-workflow that failed in an earlier attempt of the run now succeeds, or the other way."""
    before = pooled.type == "step_failed"
    if before is failed or run.attempt_was_read or not run.history.is_certain(pooled):
        return False
    if pooled.seq < run.history.drift_accepted_before:
        return False
    halt_at(
        run,
        pooled,
        f"the code of sub-workflow {call.callee} now {'fails' if failed else 'succeeds'} ({call.line})",
        rule="other-output",
        line=call.line,
    )
    return True


def halt_at(
    run: Run, event: Event, why: str, *, rule: str = "", line: str = "", emitted: str | None = None
) -> None:
    """The run is to be held, for the first of its mismatches."""
    if run.halted is None:
        rule = rule or broken_rule(
            event,
            run.history.current[run.cursor :],
            asked=[*run.asked, *((emitted,) if emitted else ())],
            ended=run.main is not None and run.main.done(),
            table=run.scope.table,
            tables=run.tables,
        )
        line = line or run.body_line()
        run.halted = ReplayMismatch(
            f"run {run.run_id}: its history has {described(event.type, event.step)} at event {event.seq}, but "
            f"{why}{'' if line in why else f' ({_asks_for(run, line)})'}. Nothing was executed; the run is held. "
            "Restore the code it was started with and "
            f"`ksl runs retry {run.run_id}`.",
            rule=rule,
            line=line,
        )


def described(type: str, step: str | None) -> str:
    return f"{type} of step:{step}" if step else type


def _asks_for(run: Run, line: str) -> str:
    """The code's side of a mismatch: what it waits for, and where."""
    if run.main is None or run.main.done():
        return line
    waits = [f"step:{call.id} at {call.line}" for call in run.asked.values()]
    waits += [f"step:{step}" for step, state in run.hooks.items() if state.is_awaited]
    return f"it waits for {', '.join(waits[:3])}" if waits else line


def _same_input(recorded: bytes, call: Call) -> bool:
    if fits_masked(recorded, call.input):
        return True
    if LOST.encode() in call.input and fits_masked(call.input, recorded):
        return True
    if call.action is None or b'"uniqueItems":true' not in msgspec.json.encode(call.action.input_schema()):
        return False
    # A set is written in the order of its hashes, which differ from process to process.
    return _unordered(json.loads(recorded)) == _unordered(json.loads(call.input))


def _shorten(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}... ({len(data):,} bytes)"


def _unordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unordered(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return sorted((_unordered(inner) for inner in value), key=repr)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportUnknownArgumentType]
    return value
