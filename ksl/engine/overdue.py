"""Moments that have come for runs which are not in memory: so many of those are loaded at once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from ksl.errors import KslError
from ksl.records import RunStatus, TimerRow

if TYPE_CHECKING:
    from ksl.engine.engine import Engine

_log = logging.getLogger("ksl.engine")
_LOADS_AT_ONCE = 64


class Overdue:
    def __init__(self, engine: Engine) -> None:
        self.loaders: set[asyncio.Task[None]] = set()
        self._engine = engine
        self._timers: deque[TimerRow] = deque()  # after a long absence a hundred thousand of them
        self._loop = asyncio.get_running_loop()

    def add(self, timer: TimerRow) -> None:
        self._timers.append(timer)
        if len(self.loaders) < _LOADS_AT_ONCE:
            task = self._loop.create_task(self._load_all())
            self.loaders.add(task)
            task.add_done_callback(self.loaders.discard)

    async def _load_all(self) -> None:
        while self._timers and not self._engine.stopping:
            try:
                await self._load_for(self._timers.popleft())
            except Exception as error:
                _log.error("a timer could not be delivered", exc_info=error)

    async def _load_for(self, timer: TimerRow) -> None:
        engine = self._engine
        try:
            run = await engine.load(timer.run_id)
        except KslError as error:
            _log.warning("%s %s", error.code, error)
            engine.lost(timer.run_id, error)
            return
        if run.main is None:
            if run.row.status is not RunStatus.QUEUED and run.row.status is not RunStatus.HELD:
                engine.drop(timer)
            return
        done: asyncio.Future[None] = self._loop.create_future()

        def act() -> None:
            done.set_result(None)
            if engine.live.get(run.run_id) is run:
                engine.fire(run, timer)
            else:
                engine.timer_due(timer)  # it left memory again before its moment was told

        self._loop.call_soon(act)
        await done
