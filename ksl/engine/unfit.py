"""Before work begins: runs that wait, and that the code no longer fits, are held, and so are all unfinished runs
of a workflow that breaks a rule."""

from __future__ import annotations

import asyncio
import logging

from ksl.engine.engine import Engine
from ksl.engine.rehearsal import Stage, rehearsals
from ksl.errors import KslError
from ksl.records import RunFilter, RunStatus

_log = logging.getLogger("ksl.engine")
_UNFINISHED = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.SLEEPING, RunStatus.WAITING)
_HELD_AT_ONCE = 256
_LISTED_MAX = 100  # in the log; `ksl build --runs` lists them all


async def hold_unfit(engine: Engine) -> int:
    """Replays the runs that wait and were started with other code; returns how many did not fit.

    A run whose code is the same costs no read of its events: there may be a hundred thousand of them.
    """
    project = engine.project
    for slug, broken in project.broken.items():
        await _hold_all(engine, slug, broken)
    stage = Stage.beside(engine)
    current = tuple((slug, project.code_version(slug)) for slug in project.tables)
    where = RunFilter(statuses=(RunStatus.SLEEPING, RunStatus.WAITING), code_but=current)
    unfit = 0
    holding: list[asyncio.Task[None]] = []
    async for row, error in rehearsals(project, engine.store, where, stage=stage):
        if error is None:
            continue
        unfit += 1
        if unfit <= _LISTED_MAX:
            _log.warning("%s %s", error.code, error)
        # Many to a commit.
        holding.append(asyncio.create_task(engine.hold(row, error)))
        if len(holding) == _HELD_AT_ONCE:
            await asyncio.gather(*holding)
            holding.clear()
    await asyncio.gather(*holding)
    if unfit > _LISTED_MAX:
        _log.warning("%d more runs do not fit the code and are held.", unfit - _LISTED_MAX)
    return unfit


async def _hold_all(engine: Engine, workflow: str, error: KslError) -> None:
    """The unfinished runs of a workflow that breaks a rule: its code may lose their steps."""
    where = RunFilter(workflow=workflow, statuses=_UNFINISHED)
    held = 0
    while rows := (await engine.store.runs(where, cursor=None, limit=_HELD_AT_ONCE)).rows:
        await asyncio.gather(*(engine.hold(row, error) for row in rows))  # they are in `where` no more
        held += len(rows)
    if held:
        runs = "1 unfinished run" if held == 1 else f"{held} unfinished runs"
        _log.warning("%s held: %s of workflow %s.", error.code, runs, workflow)
