"""At start: who goes on at once, who goes on alone, who is held.

A run that was being advanced when the process died is a suspect. After two deaths in a row without progress
the suspects are taken up one at a time: whoever takes the process down then is alone, and the count of deaths
grows for that one only. After five it is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from ksl.engine.engine import Engine
from ksl.errors import KslError, PoisonRun
from ksl.log.store import Change
from ksl.records import RunRow, RunStatus

DEATHS_ALONE = 2  # deaths in a row from which a suspect is taken up alone
DEATHS_MAX = 5  # from which it is held
_ALONE_S = 10.0  # how long the next suspect waits for one that neither ends nor progresses nor dies


class Recovery:
    """`load` takes up a run that was under way."""

    def __init__(self, engine: Engine, *, load: Callable[[str], Awaitable[None]]) -> None:
        self._engine = engine
        self._load = load

    async def sort(self) -> tuple[list[RunRow], list[RunRow], list[RunRow]]:
        """Poison is held. Returns the runs that were under way, those to take up at once and those to take up
        alone, which count as queued until then; and those that had not begun, to be put in line behind."""
        store = self._engine.store
        suspects = await store.suspects()
        at_once: list[RunRow] = []
        alone: list[RunRow] = []
        queued: list[RunRow] = []
        for row in await store.runs_in((RunStatus.QUEUED, RunStatus.RUNNING)):
            deaths = suspects.get(row.run_id, 0)
            if row.status is RunStatus.QUEUED:
                if row.due_ms is None:
                    queued.append(row)
            elif deaths >= DEATHS_MAX:
                await self._engine.hold(row, _poison(row, deaths))
            elif deaths >= DEATHS_ALONE:
                alone.append(row)
            else:
                at_once.append(row)
        if len(alone) > 1:
            for row in alone[1:]:
                # Only rows that say running are counted when the process dies.
                store.append(Change(run_id=row.run_id, run=replace(row, status=RunStatus.QUEUED)))
            await store.flush()
        return at_once, alone, queued

    async def one_by_one(self, suspects: list[RunRow]) -> None:
        store = self._engine.store
        for number, row in enumerate(suspects):
            if number > 0:
                await store.flush()
                now = await store.run(row.run_id)
                if now is None or now.status is not RunStatus.QUEUED:
                    continue  # somebody cancelled or paused it meanwhile
                store.append(Change(run_id=row.run_id, run=replace(now, status=RunStatus.RUNNING)))
                await store.flush()
            await self._load(row.run_id)
            await self._moved_on(row)

    async def _moved_on(self, before: RunRow) -> None:
        """Waits until the run recorded something, or is advanced no more."""
        store = self._engine.store
        seq = await store.newest_seq(before.run_id)
        woken = asyncio.Event()
        unsubscribe = store.wake_on_commit(woken.set)
        try:
            async with asyncio.timeout(_ALONE_S):
                while True:
                    woken.clear()
                    row = await store.run(before.run_id)
                    newest = await store.newest_seq(before.run_id)
                    if row is None or row.status is not RunStatus.RUNNING or newest > seq:
                        return
                    await woken.wait()
        except TimeoutError:
            # It is long, not deadly. Counted on, it would be held beside the culprit that is taken up next.
            await store.acquit(before.run_id)
        except KslError:
            return
        finally:
            unsubscribe()


def _poison(row: RunRow, deaths: int) -> PoisonRun:
    return PoisonRun(
        f"the process died {deaths} times while run {row.run_id} was being advanced, with no progress between, so it "
        "is held. Look at its newest events and at the server's log; "
        f"`ksl runs retry {row.run_id}` lets it go on."
    )
