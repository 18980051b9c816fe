"""Time that passes only when a test says so."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)  # a Monday, no clock is changed near it


class VirtualClock:
    """`engine.host.Clock`, with the timers that actions' timeouts and rates go by."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._steady_s = 0.0
        self._order = 0
        self._timers: list[tuple[int, int, VirtualTimer]] = []

    def now_ms(self) -> int:
        return self._now_ms

    def steady_s(self) -> float:
        return self._steady_s

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> VirtualTimer:
        self._order += 1
        # Rounded up: never early.
        due_ms = self._now_ms - int(-max(delay_s, 0.0) * 1000 // 1)
        timer = VirtualTimer(callback)
        heapq.heappush(self._timers, (due_ms, self._order, timer))
        return timer

    def next_ms(self) -> int | None:
        """When the earliest timer is due."""
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def move_to(self, now_ms: int) -> int:
        """Calls what is due on the way, in order; returns how many that were. Never moves back."""
        fired = 0
        while (due_ms := self.next_ms()) is not None and due_ms <= now_ms:
            timer = heapq.heappop(self._timers)[2]
            self._set(due_ms)
            timer.callback()
            fired += 1
        self._set(now_ms)
        return fired

    def _set(self, now_ms: int) -> None:
        if now_ms > self._now_ms:
            self._steady_s += (now_ms - self._now_ms) / 1000
            self._now_ms = now_ms


class VirtualTimer:
    __slots__ = ("callback", "cancelled")

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
