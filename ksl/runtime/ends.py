"""Whoever waits for a run to end."""

from __future__ import annotations

import asyncio

from ksl.errors import UnknownRun
from ksl.log.store import Store
from ksl.records import FINISHED, RunRow, RunStatus


class Ends:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._ends: dict[str, set[asyncio.Future[None]]] = {}

    async def row(self, run_id: str) -> RunRow:
        """Errors: UnknownRun."""
        row = await self._store.run(run_id)
        if row is None:
            raise UnknownRun(f'there is no run "{run_id}". `ksl runs list` shows the runs there are.')
        return row

    async def settled(self, run_id: str, *, timeout_s: float | None, waits: bool = False) -> RunRow:
        """The run when it ended (`waits`: or waits for a hook, or is held), or as it stands at the timeout."""
        end: asyncio.Future[None] = self._loop.create_future()

        def look() -> None:
            if not end.done():
                end.set_result(None)

        unsubscribe = self._store.wake_on_commit(look) if waits else None
        deadline = None if timeout_s is None else self._loop.time() + timeout_s
        try:
            while True:
                end = self._loop.create_future()
                self._ends.setdefault(run_id, set()).add(end)
                await self._store.flush()
                row = await self.row(run_id)
                if row.status in FINISHED or (waits and row.status in (RunStatus.WAITING, RunStatus.HELD)):
                    return row
                left_s = None if deadline is None else deadline - self._loop.time()
                if left_s is not None and left_s <= 0:
                    return row
                try:
                    async with asyncio.timeout(left_s):
                        await end
                except TimeoutError:
                    return await self.row(run_id)
                finally:
                    self._unwatch(run_id, end)
        finally:
            self._unwatch(run_id, end)
            if unsubscribe is not None:
                unsubscribe()

    def ended(self, run_id: str) -> None:
        for end in self._ends.pop(run_id, ()):
            if not end.done():
                end.set_result(None)

    def _unwatch(self, run_id: str, end: asyncio.Future[None]) -> None:
        watching = self._ends.get(run_id)
        if watching is not None:
            watching.discard(end)
            if not watching:
                del self._ends[run_id]
