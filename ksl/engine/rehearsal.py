"""Replays a run's history against the code at hand, with nobody listening: does it still fit?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from ksl.engine.aside import aside
from ksl.engine.history import read_history
from ksl.engine.hooks import HookState
from ksl.engine.host import Clock, Host, Limits, Mask, NoMask
from ksl.engine.logs import Logs
from ksl.engine.replay import catch_up
from ksl.engine.run import Run
from ksl.engine.tokens import TokenKeys
from ksl.errors import DamagedEvent, InternalFault, KslError, WorkflowGone
from ksl.log.store import Change, Store
from ksl.records import Event, RunFilter, RunRow

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.engine.call import Call

_PAGE = 500
ENDINGS = frozenset({"run_completed", "run_failed", "run_cancelled"})


class Rehearsed(NamedTuple):
    row: RunRow
    error: KslError | None  # why the run no longer fits, or cannot be read


class Stage:
    """`host.Host` on which nothing is stored and nothing acts."""

    def __init__(self, *, clock: Clock, tokens: TokenKeys, limits: Limits, workspaces_root: Path) -> None:
        self.clock = clock
        self.rng = Random(0)
        self.tokens = tokens
        self.limits = limits
        self.boot = "rehearsal"
        self.stopping = False
        self.workspaces_root = workspaces_root
        self.mask: Mask = NoMask()
        self.logs = Logs(clock, self.mask)

    @classmethod
    def beside(cls, host: Host) -> Stage:
        """With what an engine at work has: its clock, its keys, its bounds."""
        return cls(
            clock=host.clock, tokens=host.tokens, limits=host.limits, workspaces_root=host.workspaces_root
        )

    def append(self, run: Run, change: Change) -> None: ...

    def row_stored(self, change: Change) -> None: ...

    def lost_turn(self, run: Run, change: Change, error: KslError) -> None: ...

    def perform(self, run: Run, call: Call, attempt: int) -> None: ...

    def goes_on(self, run: Run, call: Call) -> bool:
        return False

    def abandon(self, run: Run, call: Call) -> None: ...

    def want_slot(self, run: Run, granted: Callable[[], None]) -> None: ...

    def release_slot(self, run: Run) -> None: ...

    def halted(self, run: Run, error: KslError) -> None: ...

    def ended(self, run: Run) -> None: ...

    def slow(self, run: Run, took_s: float) -> None: ...

    def hook_url(self, token: str) -> str:
        return f"http://rehearsal/hooks/{token}"


async def rehearsals(
    project: Project, store: Store, where: RunFilter, *, stage: Stage
) -> AsyncIterator[Rehearsed]:
    """One run after the other, newest first. The loop turns between them; a page of rows is in memory."""
    cursor: str | None = None
    while True:
        page = await store.runs(where, cursor=cursor, limit=_PAGE)
        for row in page.rows:
            yield Rehearsed(row, await _rehearsed(project, store, row, stage))
        cursor = page.next_cursor
        if cursor is None:
            return


async def _rehearsed(project: Project, store: Store, row: RunRow, stage: Stage) -> KslError | None:
    try:
        events = await store.events(row.run_id)
    except DamagedEvent as error:
        return error
    if not events or events[-1].type in ENDINGS:
        return None  # the row is older: the run has ended meanwhile, or is gone
    try:
        return await aside(lambda: rehearse(project, row, events, stage=stage))
    except Exception as error:
        return InternalFault(
            f"run {row.run_id}: ksl itself went wrong while rehearsing it ({type(error).__name__}: {error}). "
            "Its history is intact; please report it."
        )


def earlier_hook(
    project: Project, row: RunRow, events: Sequence[Event], step: str, *, stage: Stage
) -> HookState | None:
    """A hook as an earlier attempt of the run made it, with its schema; None where the code no longer does."""
    for retry in reversed([n for n, event in enumerate(events) if event.type == "run_retrying"]):
        run = run_on(stage, project, row, events[:retry])
        try:
            catch_up(run)
            if (state := run.hooks.get(step)) is not None:
                return state
        finally:
            run.evict()
    return None


def rehearse(project: Project, row: RunRow, events: Sequence[Event], *, stage: Stage) -> KslError | None:
    """Why the run no longer fits the project's code, or None where it does.

    Call it from a plain host callback, as every drain. The author's body runs, its steps do not.
    """
    if row.workflow not in project.tables:
        return WorkflowGone(
            f"run {row.run_id} is of workflow {row.workflow}, which this project does not define (any more). "
            f"Restore it and `ksl runs retry {row.run_id}`."
        )
    run = run_on(stage, project, row, events)
    try:
        catch_up(run)
        return run.halted
    finally:
        run.evict()


def run_on(stage: Stage, project: Project, row: RunRow, events: Sequence[Event]) -> Run:
    """The run as its history leaves it, not replayed yet."""
    return Run(
        stage,
        replace(row, seq=events[-1].seq),
        workflow=project.workflows[row.workflow],
        tables=project.tables,
        input=events[0].data or b"null",
        history=read_history(events),
        log=stage.logs.of(row.run_id, silent=lambda: True),
    )
