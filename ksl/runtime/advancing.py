"""Keeps runs going: admits them, takes them up again, and hands them what has come of time and of losses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from ksl.engine.behind import Behind
from ksl.engine.engine import Engine
from ksl.engine.recovery import Recovery
from ksl.errors import ChangeRefused, KslError, TryAgain
from ksl.queue.slots import Slots
from ksl.queue.timers import TimerLoop
from ksl.records import FINISHED, RunRow, RunStatus, TimerRow

_log = logging.getLogger("ksl.runtime")
_LOADS_AT_ONCE = 64
_INPUTS_KEPT_MAX = 10_000  # of queued runs; the rest is read from the log when its turn comes


class Advancing:
    """`advances_all`: every run there is; otherwise only those that were touched here."""

    def __init__(self, engine: Engine, *, slots: Slots, timers: TimerLoop, advances_all: bool) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.behind = Behind(store=engine.store, take_up=self.take_up)
        self._engine = engine
        self._slots = slots
        self._timers = timers
        self._advances_all = advances_all
        self._touched: set[str] = set()
        self._loading = asyncio.Semaphore(_LOADS_AT_ONCE)
        self._loop = asyncio.get_running_loop()
        engine.on_loss = self.lost
        engine.on_let_in = lambda run_id: self.spawn(self._let_in(run_id))

    def touch(self, run_id: str) -> None:
        """The run is one of those that this process advances."""
        if not self._advances_all and run_id not in self._touched:
            self._touched.add(run_id)
            self._timers.reload()  # its timers may have been passed over

    async def recover(self) -> None:
        """Unfinished runs go on: queued ones in line, running ones replayed. What waits for a moment or an
        answer stays in the log until it comes."""
        recovery = Recovery(self._engine, load=self._load)
        at_once, alone, queued = await recovery.sort()
        self.spawn(self._take_up_in_order(at_once, queued))
        if alone:
            self.spawn(recovery.one_by_one(alone))

    async def _take_up_in_order(self, under_way: list[RunRow], queued: list[RunRow]) -> None:
        # What is half done asks for its slot when it is loaded; put in line first, a long queue would go before it.
        await asyncio.gather(*(self._load(row.run_id) for row in under_way))
        for row in queued:
            self.admit(row, None)

    async def take_over(self, row: RunRow) -> None:
        """What a server does at start with all runs, for one."""
        self.touch(row.run_id)
        if row.status is RunStatus.QUEUED and row.due_ms is None:
            self.admit(row, None)
        elif row.status is RunStatus.RUNNING:
            await self._engine.load(row.run_id)

    def admit(self, row: RunRow, input: bytes | None) -> None:
        """Puts a queued run in line. `input` where it is at hand and the run has never begun."""
        workflow = self._engine.project.workflows.get(row.workflow)
        if input is not None and self._slots.depth > _INPUTS_KEPT_MAX:
            input = None
        data = input

        def granted() -> None:
            if self._engine.stopping:
                return  # it stays queued, for the next start
            if data is not None:
                self._engine.begin(row, data)
            else:
                self.spawn(self._begin_again(row.run_id))

        self._slots.want(row.run_id, row.workflow, workflow.concurrency if workflow else None, granted)

    def timer_due(self, timer: TimerRow) -> None:
        """A moment has come."""
        if not self._advances_all and timer.run_id not in self._touched:
            return  # a command advances the run at hand only; the server will see to the others
        if self._engine.stopping:
            return
        if timer.kind == "run_retry":
            self.spawn(self._retry_due(timer))
        else:
            self._engine.timer_due(timer)

    async def take_up(self, run_id: str) -> None:
        """A run whose newest turn was not stored goes on from what is."""
        await self._engine.store.flush()
        row = await self._engine.store.run(run_id)
        if row is None or row.status in FINISHED or row.status is RunStatus.HELD:
            return
        if row.status is not RunStatus.QUEUED:
            await self._engine.load(run_id)
        elif row.due_ms is None:
            self.admit(row, None)
        else:
            self._timers.set([TimerRow(row.due_ms, run_id, "", "run_retry", boot=self._engine.boot)])

    def lost(self, run_id: str | None, error: KslError) -> None:
        """A change was not stored; the run's id where it is to go on."""
        if isinstance(error, TryAgain):
            self.behind.add(run_id, error)
        elif isinstance(error, ChangeRefused) and run_id is not None:
            self.spawn(self._hold_refused(run_id, error))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(_report)

    async def _load(self, run_id: str) -> None:
        async with self._loading:
            try:
                await self._engine.load(run_id)
            except KslError as error:
                self._engine.lost(run_id, error)  # else it is held, and says why

    async def _begin_again(self, run_id: str) -> None:
        try:
            async with self._loading:
                await self._engine.begin_again(run_id)
        except KslError as error:
            self._slots.release(run_id)
            self._engine.lost(run_id, error)

    async def _retry_due(self, timer: TimerRow) -> None:
        await self._engine.store.flush()  # a short backoff may be over before its beginning is stored
        try:
            row = await self._engine.store.run(timer.run_id)
        except KslError as error:
            self._engine.lost(timer.run_id, error)
            return
        if row is not None and row.status is RunStatus.QUEUED and row.due_ms == timer.due_ms:
            self.admit(row, None)

    async def _let_in(self, run_id: str) -> None:
        try:
            await self.take_up(run_id)
        except KslError as error:
            self._engine.lost(run_id, error)

    async def _hold_refused(self, run_id: str, error: KslError) -> None:
        """A change that the log will never take: going on would only bring it again."""
        await self._engine.store.flush()
        row = await self._engine.store.run(run_id)
        if row is not None and row.status not in FINISHED and row.status is not RunStatus.HELD:
            if run_id not in self._engine.live:
                await self._engine.hold(row, error)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a task of the runtime failed", exc_info=error)
