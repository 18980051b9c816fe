"""How late firings are: from the moment a tick stands for to the moment its runs were stored."""

from __future__ import annotations


class Lag:
    """Seconds, since the process began."""

    def __init__(self) -> None:
        self.count = 0
        self.sum_s = 0.0
        self.newest_s: float | None = None

    def add(self, lag_ms: int) -> None:
        self.count += 1
        self.newest_s = max(lag_ms, 0) / 1000
        self.sum_s += self.newest_s
