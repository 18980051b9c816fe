"""Where a body stood after any event of its run: the source lines, and what its variables held there.

The history up to that event is replayed on a stage where nothing is stored and nothing acts, as for a rehearsal; then
the frames of the body's coroutines are read.
"""

from __future__ import annotations

import site
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ksl.engine.aside import aside
from ksl.engine.glimpse import glimpse
from ksl.engine.rehearsal import ENDINGS, Stage, run_on
from ksl.engine.replay import catch_up
from ksl.errors import BadRequest, KslError, WorkflowGone

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.engine.call import Call
    from ksl.engine.loop import RunTask
    from ksl.engine.run import Run
    from ksl.records import Event, RunRow

State = Literal["queued", "standing", "returned", "raised", "cancelled"]
VARIABLES_MAX = 100  # of one frame


class Standpoint(NamedTuple):
    """One function of the author's that is being executed."""

    file: str
    line: int
    function: str
    variables: dict[str, str]


class Branch(NamedTuple):
    """One task of the body, or a sub-workflow's, with its functions from the outermost in."""

    workflow: str
    place: str  # "" for the body itself, then as in step ids
    frames: tuple[Standpoint, ...]


class Awaited(NamedTuple):
    step: str
    kind: str  # action, workflow, sleep, hook, timer


class Position(NamedTuple):
    seq: int
    attempt: int
    state: State
    now_ms: int  # what ctx.now() says there
    branches: tuple[Branch, ...]
    awaited: tuple[Awaited, ...]
    error: BaseException | None  # that the body raised, where `state` says so
    misfit: KslError | None  # the code at hand does not fit the history: the body stands where they part


class OnlyLooking(Stage):
    """A step that was under way stays under way: this is not a restart."""

    def goes_on(self, run: Run, call: Call) -> bool:
        return True


async def position(
    project: Project, row: RunRow, events: Sequence[Event], seq: int, *, stage: OnlyLooking
) -> Position:
    """Errors: BadRequest for a `seq` that the run has not got; WorkflowGone."""
    known = [event for event in events if event.seq <= seq]
    if not known or seq > events[-1].seq:
        raise BadRequest(
            f"run {row.run_id} has events {events[0].seq} to {events[-1].seq}; there is no {seq} to look at."
        )
    if row.workflow not in project.tables:
        raise WorkflowGone(
            f"run {row.run_id} is of workflow {row.workflow}, which this project does not define (any more), so "
            "there is no source to look at."
        )
    return await aside(lambda: _position(project, row, known, stage))


def _position(project: Project, row: RunRow, events: Sequence[Event], stage: OnlyLooking) -> Position:
    seq = events[-1].seq
    if events[-1].type in ENDINGS and len(events) > 1:
        events = events[:-1]  # what follows from the one before; a replay has no place for it
    run = run_on(stage, project, row, events)
    try:
        catch_up(run)
        main = run.main
        return Position(
            seq=seq,
            attempt=run.history.attempt,
            state=_state(main),
            now_ms=run.now_ms,
            branches=tuple(_branches(run, project.folder)),
            awaited=tuple(_awaited(run)),
            error=main.exception() if main is not None and main.done() and not main.cancelled() else None,
            misfit=run.halted,
        )
    finally:
        run.evict()


def _state(main: RunTask | None) -> State:
    if main is None:
        return "queued"
    if not main.done():
        return "standing"
    if main.cancelled():
        return "cancelled"
    return "returned" if main.exception() is None else "raised"


def _branches(run: Run, folder: Path) -> Iterator[Branch]:
    if run.main is not None and run.main.done():
        error = None if run.main.cancelled() else run.main.exception()
        if error is not None and (frames := _raised_at(error, folder)):
            yield Branch(run.workflow.slug, "", frames)
        return
    for task in [] if run.loop is None else run.loop.tasks:
        if not task.done() and (frames := _standing_at(task, folder)):
            yield Branch(task.scope.workflow.slug, task.place, frames)


def _standing_at(task: RunTask, folder: Path) -> tuple[Standpoint, ...]:
    frames: list[Standpoint] = []
    each: Any = task.get_coro()
    while each is not None:
        frame: FrameType | None = getattr(each, "cr_frame", None) or getattr(each, "ag_frame", None)
        if frame is not None and _is_authors(frame.f_code, folder):
            frames.append(_standpoint(frame, frame.f_lineno))
        each = getattr(each, "cr_await", None) or getattr(each, "ag_await", None)
    return tuple(frames)


def _raised_at(error: BaseException, folder: Path) -> tuple[Standpoint, ...]:
    frames: list[Standpoint] = []
    step = error.__traceback__
    while step is not None:
        if _is_authors(step.tb_frame.f_code, folder):
            frames.append(_standpoint(step.tb_frame, step.tb_lineno))
        step = step.tb_next
    return tuple(frames)


def _standpoint(frame: FrameType, line: int) -> Standpoint:
    variables = list(frame.f_locals.items())[:VARIABLES_MAX]
    return Standpoint(
        file=frame.f_code.co_filename,
        line=line,
        function=frame.f_code.co_qualname,
        variables={name: glimpse(value) for name, value in variables if not name.startswith(("__", "."))},
    )


def _awaited(run: Run) -> Iterator[Awaited]:
    for call in run.asked.values():
        yield Awaited(call.id, call.kind)
    for state in run.hooks.values():
        if state.is_awaited:
            yield Awaited(state.step, "hook")
    for step in run.timers:
        yield Awaited(step, "timer")


_LIBRARIES = tuple(
    {
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        *site.getsitepackages(),
        str(Path(__file__).resolve().parents[1]),  # ksl itself, wherever it was installed from
    }
)


def _is_authors(code: CodeType, folder: Path) -> bool:
    """A virtual environment may lie inside the project, and the project inside a folder of libraries."""
    file = code.co_filename
    return file.startswith(f"{folder}/") and not any(
        file.startswith(f"{library}/") for library in _LIBRARIES if not str(folder).startswith(f"{library}/")
    )
