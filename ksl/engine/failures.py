"""Failures as data, and back.

A failure is stored as `{"type", "message", "step", "attempts", "traceback"}`, with `"code"` where ksl raised it and the
inner failure of a sub-workflow under `"cause"`; a body gets the same exception made from it live and on every replay.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec

from ksl.errors import (
    FatalError,
    HookRejected,
    HookTimeout,
    KslError,
    RealIoInBody,
    StepFailed,
    StepInterrupted,
)
from ksl.records import Event, Meta

Json = dict[str, Any]
_FRAMES_MAX = 30
_HERE = str(Path(__file__).parent.parent)


def failure_data(error: BaseException, *, step: str | None, attempts: int, type: str | None = None) -> Json:
    """What is stored of an exception."""
    if isinstance(error, StepFailed) and step is None:
        inner = dict(getattr(error, "data", None) or {})
        return {
            "type": error.type,
            "message": error.message,
            "step": error.step_id,
            "attempts": error.attempts,
            "traceback": _traceback(error),
            **{key: inner[key] for key in ("code", "cause") if inner.get(key)},
        }
    if isinstance(error, HookTimeout | HookRejected) and step is None:
        step = getattr(error, "step_id", None)
    data: Json = {
        "type": type or error.__class__.__name__,
        "message": _message(error),
        "step": step,
        "attempts": attempts,
        "traceback": _traceback(error),
    }
    if isinstance(error, KslError):
        data["code"] = error.code
    if isinstance(error, StepFailed):
        inner: Json = getattr(error, "data", None) or {}
        data["type"], data["message"] = error.type, error.message
        if inner.get("code"):
            data["code"] = inner["code"]
        data["cause"] = inner or {"type": error.type, "message": error.message, "step": error.step_id}
    return data


def encode(data: Json) -> bytes:
    # Through json, which writes a lone surrogate as an escape: a failure's text must never fail itself.
    try:
        return msgspec.json.encode(data)
    except UnicodeEncodeError:
        return json.dumps(data).encode()


def step_failure(event: Event) -> StepFailed:
    """The exception that a recorded `step_failed` raises in the body."""
    data: Json = json.loads(event.data or b"{}")
    kind = StepInterrupted if data.get("type") == "StepInterrupted" else StepFailed
    error = kind(
        data.get("message", ""),
        type=data.get("type", ""),
        step_id=event.step or "",
        attempts=data.get("attempts", 1),
    )
    error.data = data  # type: ignore[attr-defined]
    error.fatal = event.meta is not None and event.meta.fatal  # type: ignore[attr-defined]
    error.reopens = event.meta.reopens if event.meta is not None else ()  # type: ignore[attr-defined]
    return error


def hook_failure(event: Event) -> HookTimeout | HookRejected:
    data: Json = json.loads(event.data or b"{}")
    error: HookTimeout | HookRejected
    if event.type == "hook_rejected":
        error = HookRejected(data.get("reason", ""))
    else:
        error = HookTimeout(data.get("message", "nobody answered the hook in time"))
    error.step_id = event.step  # type: ignore[union-attr]
    return error


def is_final(error: BaseException) -> bool:
    """A failure that leaves the body and that no retry of the run may follow."""
    for each in _family(error):
        if isinstance(each, FatalError | HookTimeout | HookRejected | StepInterrupted | KslError):
            return True
        if isinstance(each, StepFailed) and getattr(each, "fatal", False):
            return True
    return False


def reopened_steps(error: BaseException) -> list[str]:
    """The steps whose failure reached the top: what a retry of the run runs again.

    An exception's own group and causes count. What it was merely raised *during* counts only when it is no
    step's failure itself: a handler's own failing step must not reopen the caught failure it handled.
    """
    found: dict[str, None] = {}
    for each in _family(error):
        if isinstance(each, StepFailed):
            found[each.step_id] = None
            found.update(dict.fromkeys(getattr(each, "reopens", ())))
            data: Json = getattr(each, "data", None) or {}
            cause: Json | None = data.get("cause")
            while cause:
                if cause.get("step"):
                    found[cause["step"]] = None
                cause = cause.get("cause")
        elif isinstance(each, HookTimeout | HookRejected) and getattr(each, "step_id", None):
            found[each.step_id] = None  # type: ignore[union-attr]
    return list(found)


def timed_out(error: BaseException) -> bool:
    """A timeout of the body's own (asyncio.timeout, wait_for) reached the top."""
    return any(isinstance(each, TimeoutError) for each in _family(error))


def failure_meta(error: BaseException, **fields: Any) -> Meta:
    return Meta(fatal=isinstance(error, FatalError), **fields)


def told_apart(error: BaseException) -> BaseException:
    """What ksl itself has to say, where a library wrapped it: a group's text names no line and no cure."""
    if not isinstance(error, KslError):
        for each in _family(error):
            if isinstance(each, RealIoInBody):
                return each
    return error


def _family(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    stack: list[BaseException | None] = [error]
    while stack:
        each = stack.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            stack.extend(cast("BaseExceptionGroup[BaseException]", each).exceptions)
        if each.__cause__ is not None:
            stack.append(each.__cause__)
        elif not isinstance(each, StepFailed | HookTimeout | HookRejected | BaseExceptionGroup):
            stack.append(each.__context__)


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:
        return f"<its message cannot be read: {broken.__class__.__name__}>"
    return text.encode("utf-8", "backslashreplace").decode()


def _traceback(error: BaseException) -> str:
    """The author's frames; ksl's own would only push them out of sight."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _ours(frame.filename)]
    lines = traceback.format_list(frames[-_FRAMES_MAX:])
    text = "".join(lines) + "".join(traceback.format_exception_only(error))
    return text.encode("utf-8", "backslashreplace").decode().rstrip()


def _ours(filename: str) -> bool:
    return filename.startswith(_HERE) or "/asyncio/" in filename
