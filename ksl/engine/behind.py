"""Runs that left memory because the log took nothing: taken up again by themselves when it does.

A turn that was not stored never happened, so its run goes back to where the log has it. The outcomes of steps
that the log did not take are kept meanwhile (`unstored`), so what has happened does not happen again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ksl.errors import KslError, TryAgain
from ksl.log.store import Change, Store
from ksl.records import TimerRow

FIRST_S = 0.25  # until the log is asked again; each time twice as long,
LONGEST_S = 5.0  # up to this
# Writing and removing a row asks the disk for space; a change that changes nothing would not.
_PROBE = TimerRow(2**62, "", "", "sleep")


class Behind:
    """`take_up` brings one run back; a TryAgain from it counts as one more loss."""

    def __init__(self, *, store: Store, take_up: Callable[[str], Awaitable[None]]) -> None:
        self.mishap: KslError | None = None  # why the log takes nothing just now
        self._store = store
        self._take_up = take_up
        self._runs: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, run_id: str | None, error: KslError) -> None:
        """A change was not stored. `run_id` None: of no run that is to go on."""
        self.mishap = error
        if run_id is not None:
            self._runs[run_id] = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._until_it_stores())

    async def stop(self) -> None:
        if self._task is not None:  # perhaps between the two
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._store.append(Change(run_id="", timers_cleared=[_PROBE]))

    async def _until_it_stores(self) -> None:
        wait_s = FIRST_S
        try:
            while self.mishap is not None:
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_S)
                if await self._is_stored(Change(run_id="", timers_set=[_PROBE])):
                    self._store.append(Change(run_id="", timers_cleared=[_PROBE]))
                    self.mishap = None
                    await self._go_on()
        finally:
            self._task = None

    async def _go_on(self) -> None:
        runs, self._runs = self._runs, {}
        for run_id in runs:
            try:
                await self._take_up(run_id)
            except TryAgain as error:
                self.mishap = error
                self._runs[run_id] = None
            except KslError:
                pass  # it is held and says why, or the process is about to end

    async def _is_stored(self, change: Change) -> bool:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        change.stored = lambda: done.set_result(True)
        change.lost = lambda error: done.set_result(False)
        self._store.append(change)
        return await done
