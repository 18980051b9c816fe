"""Time that passes faster: a second of ksl is a fraction of one of this machine, the same in every process.

A life of a process has to be short when there are thousands of them. Moments stay moments: clock, loop and
timers all run at the one rate, across deaths and forks.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from selectors import SelectorKey
from typing import Any

RATE = 20
_BEGAN_S = time.monotonic()
_BEGAN_MS = time.time_ns() // 1_000_000


class HurryClock:
    """`engine.host.Clock`. Forked processes agree on it; of others each would have a beginning of its own."""

    def now_ms(self) -> int:
        return _BEGAN_MS + int((time.monotonic() - _BEGAN_S) * 1000 * RATE)

    def steady_s(self) -> float:
        return time.monotonic() * RATE


class HurryLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__(_HurrySelector())

    def time(self) -> float:
        return time.monotonic() * RATE


class _HurrySelector(selectors.DefaultSelector):  # pyright: ignore[reportUntypedBaseClass, reportGeneralTypeIssues]
    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, Any]]:
        return super().select(None if timeout is None else timeout / RATE)
