"""Before work begins: runs that are held for nothing but a rule which their workflow keeps again are let go.

Whether the code that was put right still fits them is asked when they are taken up, as of every run: one that it
does not fit is held anew, for that. Each is let go in one commit, so a death in between leaves it held, to be looked
at by the next start, or under way.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec
from msgspec.structs import replace

from ksl.engine.engine import Engine
from ksl.engine.history import read_history
from ksl.errors import DamagedEvent
from ksl.log.store import Change
from ksl.records import Event, Meta, RunFilter, RunRow, RunStatus

BY = "build"
_log = logging.getLogger("ksl.run")
_PAGE = 500
_AT_ONCE = 64


async def let_go(engine: Engine) -> int:
    """Returns how many there were."""
    let = 0
    for slug in engine.project.tables:
        if slug not in engine.project.broken:
            let += await _let_go_of(engine, slug)
    return let


async def _let_go_of(engine: Engine, workflow: str) -> int:
    where = RunFilter(workflow=workflow, statuses=(RunStatus.HELD,))
    let, cursor, more = 0, None, True
    while more:
        page = await engine.store.runs(where, cursor=cursor, limit=_PAGE)
        ends = await engine.store.ends([row.run_id for row in page.rows])
        freed = [(row, ends[row.run_id][1]) for row in page.rows if row.run_id in ends]
        freed = [(row, last) for row, last in freed if _is_for_a_rule(last)]
        for at in range(0, len(freed), _AT_ONCE):
            few = freed[at : at + _AT_ONCE]
            # Many to a commit.
            let += sum(await asyncio.gather(*(_release(engine, row, last) for row, last in few)))
            await engine.store.flush()
        cursor = page.next_cursor
        more = cursor is not None
    if let:
        runs = "1 run goes on" if let == 1 else f"{let} runs go on"
        _log.info("%s: workflow %s keeps the rule again that they were held for.", runs, workflow)
    return let


def _is_for_a_rule(newest: Event) -> bool:
    """What a person holds has another type, whatever reason they wrote; so has what the history holds a run for."""
    if newest.type != "run_held" or newest.data is None or (newest.meta is not None and newest.meta.by):
        return False
    return msgspec.json.decode(newest.data, type=_Held).type == "RuleBroken"


class _Held(msgspec.Struct):
    type: str = ""


async def _release(engine: Engine, row: RunRow, held: Event) -> bool:
    try:
        begun = read_history(await engine.store.events(row.run_id)).has_begun
    except DamagedEvent as error:
        _log.warning("%s %s", error.code, error)
        return False
    event = Event(
        row.run_id, held.seq + 1, "run_released", None, engine.clock.now_ms(), b"{}", None, Meta(by=BY)
    )
    status = RunStatus.RUNNING if begun else RunStatus.QUEUED
    change = Change(run_id=row.run_id, events=[event], run=replace(row, status=status, seq=event.seq))
    change.stored = lambda: engine.row_stored(change)
    engine.store.append(change)
    return True
