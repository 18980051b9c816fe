"""Turns timers whose moment has come into calls of whoever waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from ksl.log.store import Store
from ksl.queue.wheel import TimerWheel
from ksl.records import TimerRow

WINDOW_MS = 10 * 60_000  # of the near future kept in the wheel
_PAGE = 10_000  # timers loaded at once
_LOOK_S = 1.0  # while anything is armed: how soon a change of the wall clock is noticed


class Clock(Protocol):
    def now_ms(self) -> int: ...


class TimerLoop:
    def __init__(self, *, store: Store, clock: Clock, due: Callable[[TimerRow], None]) -> None:
        self._store = store
        self._clock = clock
        self._due = due
        self._wheel = TimerWheel()
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
            if timer.due_ms < self._loaded_until_ms:
                self._wheel.add(timer)
                if soonest is None or timer.due_ms < soonest:
                    self._woken.set()

    def clear(self, timers: Iterable[TimerRow]) -> None:
        for timer in timers:
            self._wheel.remove(timer)

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
        for timer in due:
            self._loop.call_soon(self._due, timer)
        return len(due)

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
        if next_ms is None:
            return max(refill_s, 0.0)
        return max(min((next_ms - now_ms) / 1000, refill_s, _LOOK_S), 0.0)
