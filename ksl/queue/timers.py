"""Turns timers whose moment has come into calls of whoever waits for them.

A moment comes by the wall clock. A duration that this process armed is also over when the process has measured
it: a clock that was set back must not stretch a sleep of a minute to an hour.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec.structs import replace

from ksl.errors import KslError
from ksl.log.store import Store
from ksl.queue.wheel import TimerWheel
from ksl.records import TimerRow

WINDOW_MS = 10 * 60_000  # of the near future kept in the wheel
_PAGE = 10_000  # timers loaded at once
_LOOK_S = 1.0  # how soon a changed wall clock is noticed, and a log that refused is asked again
_log = logging.getLogger("ksl.queue")


class Clock(Protocol):
    def now_ms(self) -> int: ...

    def steady_s(self) -> float: ...


class TimerLoop:
    def __init__(self, *, store: Store, clock: Clock, due: Callable[[TimerRow], None]) -> None:
        self._store = store
        self._clock = clock
        self._due = due
        self._wheel = TimerWheel()
        self._measured = TimerWheel()  # durations armed here, by steady milliseconds, however far off
        self._measured_as: dict[TimerRow, TimerRow] = {}  # timer -> its row in there
        self._timer_of: dict[TimerRow, TimerRow] = {}  # and back
        self._loaded_until_ms = 0  # every timer due before this is in the wheel
        self._page_end: TimerRow | None = None  # of a full page: there is more behind it
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @property
    def armed(self) -> int:
        """Timers in the near window."""
        return len(self._wheel)

    def set(self, timers: Iterable[TimerRow]) -> None:
        """Timers that were just appended to the log."""
        soonest = self._wheel.next_ms()
        # At the end of a full page one may fall among those that were read: better twice than never.
        edge_ms = self._loaded_until_ms + (self._page_end is not None)
        for timer in timers:
            if timer.boot and timer not in self._measured_as:
                self._measure(timer)
            if timer.due_ms < edge_ms:
                self._wheel.add(timer)
                if soonest is None or timer.due_ms < soonest:
                    self._woken.set()

    def clear(self, timers: Iterable[TimerRow]) -> None:
        for timer in timers:
            self._wheel.remove(timer)
            self._measure_no_more(timer)

    def reload(self) -> None:
        """Reads the table again, for timers that were handed out and not taken."""
        self._loaded_until_ms = 0
        self._page_end = None
        self._woken.set()

    async def run(self) -> None:
        while True:
            try:
                await self.once(self._clock.now_ms())
            except KslError as error:
                _log.warning("timers could not be read and are asked for again: %s", error)
            self._woken.clear()
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def once(self, now_ms: int) -> int:
        """Refills the window if need be and hands out what is due; returns how many that were."""
        if now_ms >= self._refill_at_ms():
            await self._refill(now_ms)
        due = self._wheel.take_due(now_ms)
        for row in self._measured.take_due(self._steady_ms()):
            timer = self._timer_of.get(row)
            if timer is None:
                continue
            if timer.due_ms > now_ms:  # else it was in the wheel, or has been handed out before
                self._wheel.remove(timer)
                due.append(timer)
            self._measure_no_more(timer)
        for timer in due:
            self._measure_no_more(timer)
            self._loop.call_soon(self._due, timer)
        return len(due)

    def _measure(self, timer: TimerRow) -> None:
        due_ms = self._steady_ms() + max(timer.due_ms - self._clock.now_ms(), 0)
        row = self._measured_as[timer] = replace(timer, due_ms=due_ms)
        self._timer_of[row] = timer
        self._measured.add(row)

    def _measure_no_more(self, timer: TimerRow) -> None:
        row = self._measured_as.pop(timer, None)
        if row is not None:
            self._timer_of.pop(row, None)
            self._measured.remove(row)

    def _steady_ms(self) -> int:
        return int(self._clock.steady_s() * 1000)

    async def _refill(self, now_ms: int) -> None:
        until_ms = now_ms + WINDOW_MS
        before_ms, page_end = self._loaded_until_ms, self._page_end
        # Those before the old edge are in the wheel already, or have been handed out and are being cleared.
        after = page_end or TimerRow(before_ms, "", "", "sleep")
        # Set first: what is armed while the table is being read goes to the wheel, not past it.
        self._loaded_until_ms, self._page_end = until_ms, None
        try:
            await self._store.flush()
            timers = await self._store.timers(until_ms=until_ms - 1, limit=_PAGE, after=after)
        except BaseException:
            self._loaded_until_ms, self._page_end = before_ms, page_end
            raise
        for timer in timers:
            self._wheel.add(timer)
        if len(timers) == _PAGE:
            self._page_end = timers[-1]
            self._loaded_until_ms = timers[-1].due_ms

    def _refill_at_ms(self) -> int:
        # The next page is wanted when all of a full one came due; before that the wheel holds enough.
        return self._loaded_until_ms - (0 if self._page_end is not None else WINDOW_MS // 2)

    def _wait_s(self) -> float:
        now_ms = self._clock.now_ms()
        refill_s = (self._refill_at_ms() - now_ms) / 1000
        next_ms = self._wheel.next_ms()
        next_s = _LOOK_S if next_ms is None else (next_ms - now_ms) / 1000
        # Never longer than a look: the wall clock may be set forward, or the machine have slept.
        return max(min(next_s, refill_s, _LOOK_S), 0.0)
