"""Where a moment lies on a timeline: long stretches in which nothing worked are drawn short. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

_LONG = 0.1  # of the whole: a stretch without work that takes more is drawn short
_SHORT = 0.12  # of the time in which something worked: what it is drawn as
_LEAST_MS = 2_000  # what is shorter is drawn as it was: there is nothing to be gained


class Stretch(NamedTuple):
    start_ms: int
    end_ms: int
    works: bool


class Gap(NamedTuple):
    """More time passed than is drawn. `left` and `width` are parts of the whole."""

    left: float
    width: float
    ms: int


class TimeScale:
    """From the left edge, 0, to the right one, 1. `true`: every stretch is drawn as long as it was."""

    def __init__(self, stretches: Iterable[Stretch], *, true: bool = False) -> None:
        changes: dict[int, int] = {}  # by moment: how many more of them work from there on
        for each in stretches:
            changes[each.start_ms] = changes.get(each.start_ms, 0) + each.works
            changes[each.end_ms] = changes.get(each.end_ms, 0) - each.works
        moments = sorted(changes)
        pieces: list[Stretch] = []
        working = 0
        for start, end in pairwise(moments):
            working += changes[start]
            pieces.append(Stretch(start, end, working > 0))
        worked_ms = sum(end - start for start, end, works in pieces if works)
        short = worked_ms * _SHORT
        self.ms = moments[-1] - moments[0] if moments else 0
        most = max(self.ms * _LONG, short * 2, _LEAST_MS)
        self._places = {moments[0]: 0.0} if moments else {}
        drawn: list[tuple[float, float, int]] = []
        total = 0.0
        for start, end, works in pieces:
            length = end - start
            width = short if not true and not works and worked_ms and length > most else float(length)
            drawn.append((total, width, length))
            total += width
            self._places[end] = total
        self._whole = total or 1.0
        self.gaps = [
            Gap(left / self._whole, width / self._whole, length)
            for left, width, length in drawn
            if length > width
        ]

    def at(self, moment_ms: int) -> float:
        """Of a moment at which a stretch begins or ends."""
        return self._places[moment_ms] / self._whole
