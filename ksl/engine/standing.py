"""file:line where a body stands: what people look for first in a message."""

from __future__ import annotations

from types import FrameType
from typing import TYPE_CHECKING, Any

from ksl.build.source import wrapped_chain
from ksl.define.seam import frame_at

if TYPE_CHECKING:
    from ksl.engine.ids import Scope
    from ksl.engine.run import Run


def body_line(run: Run) -> str:
    """file:line where the body stands: inside a drain that of the running task."""
    frame: FrameType | None = frame_at(1)
    while frame is not None:
        if frame.f_code.co_filename == run.scope.table.file:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return _awaiting_line(run) or _definition_line(run.scope)


def _awaiting_line(run: Run) -> str | None:
    """file:line of the innermost await in the workflow's file that the body stands at."""
    found: str | None = None
    coro: Any = run.main.get_coro() if run.main is not None else None
    while (inner := getattr(coro, "cr_frame", None)) is not None:
        if inner.f_code.co_filename == run.scope.table.file:
            found = f"{inner.f_code.co_filename}:{inner.f_lineno}"
        coro = coro.cr_await
    return found


def _definition_line(scope: Scope) -> str:
    """file:line of a workflow's definition, for a body that stands nowhere any more."""
    chain = wrapped_chain(scope.workflow.function)
    return f"{scope.table.file}:{chain[-1].__code__.co_firstlineno}" if chain else scope.table.file
