"""Replays a run's history against the code at hand, with nobody listening: does it still fit?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from ksl.engine.history import read_history
from ksl.engine.host import Clock, Limits
from ksl.engine.logs import Logs
from ksl.engine.run import Run
from ksl.engine.tokens import TokenKeys
from ksl.errors import KslError, WorkflowGone
from ksl.log.store import Change
from ksl.records import Event, RunRow

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.engine.call import Call


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
        self.logs = Logs(clock)

    def append(self, run: Run, change: Change, seq: int) -> None: ...

    def perform(self, run: Run, call: Call, attempt: int) -> None: ...

    def abandon(self, run: Run, call: Call) -> None: ...

    def want_slot(self, run: Run, granted: Callable[[], None]) -> None: ...

    def release_slot(self, run: Run) -> None: ...

    def halted(self, run: Run, error: KslError) -> None: ...

    def ended(self, run: Run) -> None: ...

    def hook_url(self, token: str) -> str:
        return f"http://rehearsal/hooks/{token}"


def rehearse(project: Project, row: RunRow, events: Sequence[Event], *, stage: Stage) -> KslError | None:
    """Why the run no longer fits the project's code, or None where it does.

    Call it from a plain host callback, as every drain. The author's body runs, its steps do not.
    """
    if row.workflow not in project.tables:
        return WorkflowGone(
            f"run {row.run_id} is of workflow {row.workflow}, which this project does not define (any more). "
            f"Restore it and `ksl runs retry {row.run_id}`."
        )
    run = Run(
        stage,
        row,
        workflow=project.workflows[row.workflow],
        tables=project.tables,
        input=events[0].data or b"null",
        history=read_history(events),
        log=stage.logs.of(row.run_id, silent=lambda: True),
    )
    try:
        run.replay()
        return run.halted
    finally:
        run.evict()
