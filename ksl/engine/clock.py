"""The time of this machine."""

from __future__ import annotations

import time


class SystemClock:
    """`engine.host.Clock`."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def steady_s(self) -> float:
        return time.monotonic()
