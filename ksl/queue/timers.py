"""Turns timers whose moment has come into calls of whoever waits for them.

A moment comes by the wall clock. A duration that this process armed is also over when the process has measured
it: a clock that was set back must not stretch a sleep of a minute to an hour.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec.structs import replace

from ksl.log.store import Store
from ksl.queue.wheel import TimerWheel
from ksl.records import TimerRow

WINDOW_MS = 10 * 60_000  # of the near future kept in the wheel
_PAGE = 10_000  # timers loaded at once
_LOOK_S = 1.0  # while anything is armed: how soon a change of the wall clock is noticed


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
        self._crowded = False  # the newest page was full: there are more in the window than are loaded
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @property
    def armed(self) -> int:
        """Timers in the near window."""
        return len(self._wheel)

    def set(self, timers: Iterable[TimerRow]) -> None:
        """Timers that were just appended to the log."""
        soonest = self._wheel.next_ms()
        for timer in timers:
            if timer.boot and timer not in self._measured_as:
                self._measure(timer)
            if timer.due_ms < self._loaded_until_ms:
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
        self._woken.set()

    async def run(self) -> None:
        while True:
            await self.once(self._clock.now_ms())
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
        before = self._loaded_until_ms
        # Set first: what is armed while the table is being read goes to the wheel, not past it.
        self._loaded_until_ms = until_ms
        await self._store.flush()
        timers = await self._store.timers(until_ms=until_ms, limit=_PAGE)
        for timer in timers:
            # Those before the old edge are in the wheel already, or have been handed out and are being cleared.
            if timer.due_ms >= before:
                self._wheel.add(timer)
        self._crowded = len(timers) == _PAGE
        if self._crowded:
            self._loaded_until_ms = timers[-1].due_ms

    def _refill_at_ms(self) -> int:
        # A full page is read again only when all of it came due: before that it would be the same page.
        return self._loaded_until_ms - (0 if self._crowded else WINDOW_MS // 2)

    def _wait_s(self) -> float:
        now_ms = self._clock.now_ms()
        refill_s = (self._refill_at_ms() - now_ms) / 1000
        next_ms = self._wheel.next_ms()
        if next_ms is None and not self._measured_as:
            return max(refill_s, 0.0)
        wait_s = min(refill_s, _LOOK_S)
        if next_ms is not None:
            wait_s = min(wait_s, (next_ms - now_ms) / 1000)
        return max(wait_s, 0.0)
