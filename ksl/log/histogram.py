"""How long commits took."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from math import inf

BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, inf)


class Histogram:
    def __init__(self) -> None:
        self._counts = [0] * len(BOUNDS_S)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def cumulative(self) -> tuple[tuple[float, int], ...]:
        return tuple(zip(BOUNDS_S, accumulate(self._counts), strict=True))
