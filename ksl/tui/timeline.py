"""When what happened in a run: a row for each attempt and each wait, on a scale that leaves empty time out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rich.text import Text

from ksl.tui import safe, words
from ksl.tui.words import Json, Look
from ksl.views.lights import node_path

GROUPED = 500  # more rows than that are shown as one for each place in the code
GAP = 0.1  # of the whole: idle time that is longer is left out
_OUTCOMES = {
    "step_completed": "succeeded",
    "step_retrying": "failed",
    "step_failed": "failed",
    "step_cancelled": "cancelled",
}
_OPENS = {"sleep_started": "sleeping", "hook_created": "waiting"}
_CLOSES = {
    "sleep_completed": "succeeded",
    "hook_resumed": "succeeded",
    "hook_rejected": "failed",
    "hook_expired": "failed",
}


@dataclass
class Bar:
    start_ms: int
    end_ms: int | None  # None: it goes on
    state: str
    idle: bool = False  # waiting, or a backoff: nothing runs


@dataclass
class Row:
    key: str  # the step's id, or the path of its place where rows are grouped
    label: str
    bars: list[Bar] = field(default_factory=list[Bar])
    state: str = "succeeded"  # of the step
    tries: int = 1


def rows_of(events: Iterable[Json], steps: Sequence[Json], now_ms: int) -> list[Row]:
    """A row for each attempt, in the order in which steps began; a backoff stands before the attempt it led to."""
    found: dict[str, list[Row]] = {}
    for event in events:
        step = words.bare(event.get("step"))
        if not step:
            continue
        at = words.moment(event.get("at")) or 0
        meta: Json = event.get("meta") or {}
        rows = found.setdefault(step, [])
        kind = event["type"]
        if kind in _OUTCOMES:
            start = words.moment(meta.get("started_at")) or at
            row = Row(step, step, [Bar(start, words.moment(meta.get("finished_at")) or at, _OUTCOMES[kind])])
            if rows and (before := rows[-1].bars[-1].end_ms) is not None and before < start:
                row.bars.insert(0, Bar(before, start, "retrying", idle=True))
            rows.append(row)
        elif kind in _OPENS:
            rows.append(Row(step, step, [Bar(at, None, _OPENS[kind], idle=True)]))
        elif kind in _CLOSES and rows and rows[-1].bars[-1].end_ms is None:
            rows[-1].bars[-1].end_ms = at
            rows[-1].bars[-1].state = _CLOSES[kind]
    states = {each["id"]: each for each in steps}
    for id, step in states.items():
        rows = found.setdefault(id, [])
        if step["status"] in ("running", "retrying") and not (rows and rows[-1].bars[-1].end_ms is None):
            start = rows[-1].bars[-1].end_ms if rows else words.moment(step["started_at"])
            idle = step["status"] == "retrying"
            rows.append(Row(id, id, [Bar(start or now_ms, None, step["status"], idle=idle)]))
    for id, rows in found.items():
        for place, row in enumerate(rows, 1):
            row.state = states[id]["status"] if id in states else row.bars[-1].state
            row.tries = len(rows)
            if len(rows) > 1:
                row.label = f"{id} try {place}"
    ordered = sorted((rows for rows in found.values() if rows), key=lambda rows: rows[0].bars[0].start_ms)
    flat = [row for rows in ordered for row in rows]
    return flat if len(flat) <= GROUPED else _grouped(flat)


def _grouped(rows: Sequence[Row]) -> list[Row]:
    found: dict[str, Row] = {}
    steps: dict[str, set[str]] = {}
    for row in rows:
        path = node_path(row.key)
        group = found.setdefault(path, Row(path, path, state=row.state))
        group.bars += row.bars
        group.state = row.state if row.state != "succeeded" else group.state
        steps.setdefault(path, set()).add(row.key)
    for path, group in found.items():
        group.label = f"{path} ({len(steps[path])})"
    return list(found.values())


class Scale:
    """Moments to columns. Unless `true`, idle stretches longer than a tenth of the whole shrink to a break."""

    def __init__(self, rows: Sequence[Row], now_ms: int, width: int, *, true: bool) -> None:
        busy = _merged(
            [(bar.start_ms, bar.end_ms or now_ms) for row in rows for bar in row.bars if not bar.idle]
        )
        spans = [(bar.start_ms, bar.end_ms or now_ms) for row in rows for bar in row.bars]
        self.start_ms = min((start for start, _ in spans), default=now_ms)
        self.end_ms = max(max((end for _, end in spans), default=now_ms), self.start_ms + 1)
        self.breaks: list[tuple[int, int, str]] = []  # column, width, what was left out
        edges = [self.start_ms, *(moment for stretch in busy for moment in stretch), self.end_ms]
        whole = self.end_ms - self.start_ms
        # Between two stretches of work there is nothing but waiting: those are the odd ones.
        gaps = (
            [] if true else [pair for pair in list(pairwise(edges))[::2] if pair[1] - pair[0] > whole * GAP]
        )
        labels = {gap: words.took(gap[1] - gap[0]) for gap in gaps}
        taken = sum(len(label) + 2 for label in labels.values())
        kept = whole - sum(end - start for start, end in gaps)
        if gaps and (taken > width // 2 or kept <= 0):
            gaps, taken, kept = [], 0, whole
        self._pieces: list[tuple[int, int, float, float]] = []  # from, to, first column, last column
        column, moment = 0.0, self.start_ms
        each_ms = (width - taken) / max(kept, 1)
        for start, end in [*gaps, (self.end_ms, self.end_ms)]:
            after = column + (start - moment) * each_ms
            self._pieces.append((moment, start, column, after))
            if end > start:
                wide = len(labels[start, end]) + 2
                self.breaks.append((int(after), wide, labels[start, end]))
                self._pieces.append((start, end, after, after + wide))
                after += wide
            column, moment = after, end
        self._width = width

    def column(self, at_ms: int) -> int:
        for start, end, first, last in self._pieces:
            if at_ms <= end:
                part = (at_ms - start) / (end - start) if end > start else 0.0
                return max(0, min(self._width - 1, int(first + (last - first) * part)))
        return self._width - 1


def painted(row: Row, scale: Scale, now_ms: int, width: int, label_width: int, look: Look) -> Text:
    text = Text()
    text.append(safe.padded(safe.line(row.label, label_width - 1), label_width))
    room = max(width - label_width, 1)
    cells: list[tuple[str, str]] = [(" ", "")] * room
    for column, wide, _ in scale.breaks:
        for place in range(column, min(column + wide, room)):
            cells[place] = (look.gap, "bright_black")
    for bar in row.bars:
        first = scale.column(bar.start_ms)
        last = max(scale.column(bar.end_ms or now_ms), first)
        sign = look.idle if bar.idle else look.bar
        for place in range(first, min(last + 1, room)):
            cells[place] = (sign, words.COLOURS.get(bar.state, ""))
        if bar.end_ms is None and last < room:
            cells[last] = (
                look.states.get(bar.state, "*")[-1 if not look.ascii else 1],
                words.COLOURS.get(bar.state, ""),
            )
        elif bar.state in ("failed", "cancelled") and last < room:
            cells[last] = ("x" if look.ascii else "✗", words.COLOURS[bar.state])
    for sign, style in cells:
        text.append(sign, style)
    return text


def axis(scale: Scale, width: int, label_width: int) -> str:
    """What the columns stand for: the beginning, what was left out, the end."""
    room = max(width - label_width, 1)
    cells = [" "] * room
    marks = [(0, "0")] + [(column + 1, label) for column, _, label in scale.breaks]
    end = words.took(scale.end_ms - scale.start_ms)
    for column, label in [*marks, (room - len(end), end)]:
        if column >= 0 and all(cell == " " for cell in cells[max(column - 1, 0) : column + len(label)]):
            cells[column : column + len(label)] = label
    return " " * label_width + "".join(cells)[:room]


def _merged(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
