"""A run's timeline in cells: a row for each attempt and each wait, with a mark where time is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

from ksl.tui import safe, words
from ksl.tui.words import Look
from ksl.views.time_scale import TimeScale
from ksl.views.timeline import Bar, Track

_LABEL_MOST = 2 / 5  # of the width


@dataclass(frozen=True)
class Row:
    key: str  # the step's id, or the path of its place where rows are grouped
    label: str
    bars: tuple[Bar, ...]
    state: str  # of the step
    tries: int = 1


def rows_of(tracks: Iterable[Track]) -> list[Row]:
    """A row for each attempt; the time between two stands before the one that it led to."""
    rows: list[Row] = []
    for track in tracks:
        if track.stands_for > 1:
            rows.append(Row(track.id, f"{track.id} ({track.stands_for:,})", track.bars, track.status))
            continue
        tries: list[list[Bar]] = [[]]
        for bar in track.bars:
            if tries[-1] and tries[-1][-1].works:
                tries.append([])
            tries[-1].append(bar)
        for number, bars in enumerate(tries, 1):
            label = track.id if len(tries) == 1 else f"{track.id} try {number}"
            rows.append(Row(track.id, label, tuple(bars), track.status, len(tries)))
    return rows


class Drawing:
    """Rows in so many cells, all on one scale."""

    def __init__(self, rows: Sequence[Row], width: int, look: Look, *, true: bool) -> None:
        longest = max((len(row.label) for row in rows), default=0)
        self.label = min(longest + 2, max(int(width * _LABEL_MOST), 8))
        self.room = max(width - self.label, 1)
        self._look = look
        self._scale = TimeScale((bar.stretch for row in rows for bar in row.bars), true=true)
        self._gaps = [
            (self._cell(gap.left), max(self._cell(gap.left + gap.width), self._cell(gap.left) + 1), gap.ms)
            for gap in self._scale.gaps
        ]

    def painted(self, row: Row) -> Text:
        cells: list[tuple[str, str]] = [(" ", "")] * self.room
        for first, after, _ in self._gaps:
            for place in range(first, min(after, self.room)):
                cells[place] = (self._look.gap, "bright_black")
        for bar in row.bars:
            first = self._cell(self._scale.at(bar.start_ms))
            last = max(self._cell(self._scale.at(bar.end_ms)), first)
            style = words.COLOURS.get(bar.status, "")
            sign = self._look.bar if bar.works else self._look.idle
            cells[first : last + 1] = [(sign, style)] * (last + 1 - first)
            if (end := self._end(bar)) is not None:
                cells[last] = (end, style)
        text = Text(safe.padded(safe.line(row.label, self.label - 1), self.label))
        for sign, style in cells:
            text.append(sign, style)
        return text

    def axis(self) -> str:
        """What the columns stand for: the beginning, what was left out, the end."""
        cells = [" "] * self.room
        end = words.took(self._scale.ms)
        gaps = [(first + 1, words.took(ms)) for first, _, ms in self._gaps]
        for column, label in [(0, "0"), (self.room - len(end), end), *gaps]:
            around = cells[max(column - 1, 0) : column + len(label) + 1]
            if column >= 0 and column + len(label) <= self.room and all(cell == " " for cell in around):
                cells[column : column + len(label)] = label
        return " " * self.label + "".join(cells)

    def _cell(self, part: float) -> int:
        return min(int(part * self.room), self.room - 1)

    def _end(self, bar: Bar) -> str | None:
        """What stands in a bar's last cell where it does not simply end."""
        sign = self._look.states.get(bar.status, "")
        if bar.open and sign:
            return sign[1] if self._look.ascii else sign
        if bar.status in ("failed", "cancelled"):
            return "x" if self._look.ascii else "✗"
        return None
