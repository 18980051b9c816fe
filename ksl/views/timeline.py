"""A run's steps side by side in time: a bar for each attempt, long waits drawn short. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from ksl.views.times import parse_rfc3339
from ksl.views.values import JsonObject

ROWS_MOST = 300
_WAITS = ("sleep", "hook")
# From the first share of the time in which something worked, a stretch in which nothing did is drawn as the second.
_LONG = 0.4
_LEAST_MS = 2_000  # what is shorter is drawn as it was: there is nothing to be gained
_SHORT = 0.12


class _Bar(NamedTuple):
    start_ms: int
    end_ms: int
    status: str
    works: bool


def timeline_json(
    steps: Sequence[JsonObject], spans: Iterable[JsonObject], *, now_ms: int, most: int = ROWS_MOST
) -> JsonObject:
    """`steps` and `spans` as `ksl.views.runs` answers them.

    Shape:   `rows`, the newest `most`: a step with its `bars`, each with `left` and `width` as parts of the whole;
             `gaps`: `{"left", "width", "ms"}` where more time passed than is drawn; `earlier`: rows left out.
    """
    attempts: dict[str, list[JsonObject]] = {}
    for span in spans:
        if span["kind"] == "attempt":
            attempts.setdefault(span["parent"], []).append(span)
    shown = [step for step in steps if step["started_at"]][-most:]
    bars = [_bars(step, attempts.get(step["id"], []), now_ms) for step in shown]
    scale = _Scale([bar for row in bars for bar in row])
    return {
        "rows": [
            {
                "step": step["id"],
                "depth": step["id"].count("/"),
                "name": step["id"].rpartition("/")[2],
                "kind": step["kind"],
                "status": step["status"],
                "attempts": step["attempts"],
                "started_at": step["started_at"],
                "finished_at": step["finished_at"],
                "bars": [
                    {"left": scale.at(bar.start_ms), "width": scale.at(bar.end_ms) - scale.at(bar.start_ms)}
                    | {"status": bar.status}
                    for bar in row
                ],
            }
            for step, row in zip(shown, bars, strict=True)
        ],
        "gaps": scale.gaps,
        "earlier": len(steps) - len(shown),
    }


def _bars(step: JsonObject, attempts: Sequence[JsonObject], now_ms: int) -> list[_Bar]:
    start, end = parse_rfc3339(step["started_at"]), _end(step, now_ms)
    if step["kind"] in _WAITS:
        return [_Bar(start, end, step["status"], works=False)]
    if not attempts:
        return [_Bar(start, end, step["status"], works=step["status"] != "reopened")]
    bars: list[_Bar] = []
    for attempt in attempts:
        begun, ended = parse_rfc3339(attempt["started_at"]), _end(attempt, now_ms)
        if bars and begun > bars[-1].end_ms:
            bars.append(_Bar(bars[-1].end_ms, begun, "backoff", works=False))
        bars.append(_Bar(begun, ended, attempt["status"], works=True))
    if step["finished_at"] is None and end > bars[-1].end_ms:
        running = step["status"] == "running"
        bars.append(_Bar(bars[-1].end_ms, end, "running" if running else "backoff", works=running))
    return bars


def _end(item: JsonObject, now_ms: int) -> int:
    start = parse_rfc3339(item["started_at"])
    return max(start, parse_rfc3339(item["finished_at"]) if item["finished_at"] else now_ms)


class _Scale:
    """Where a moment lies between the left edge, 0, and the right one, 1."""

    def __init__(self, bars: Sequence[_Bar]) -> None:
        changes: dict[int, int] = {}  # by moment: how many more bars work from there on
        for bar in bars:
            changes[bar.start_ms] = changes.get(bar.start_ms, 0) + bar.works
            changes[bar.end_ms] = changes.get(bar.end_ms, 0) - bar.works
        moments = sorted(changes)
        stretches: list[tuple[int, int, bool]] = []  # from, to, whether something worked
        working = 0
        for start, end in pairwise(moments):
            working += changes[start]
            stretches.append((start, end, working > 0))
        worked_ms = sum(end - start for start, end, works in stretches if works)
        self._places = {moments[0]: 0.0} if moments else {}
        drawn: list[tuple[int, float, float, int]] = []
        total = 0.0
        for start, end, works in stretches:
            length = end - start
            is_long = not works and worked_ms > 0 and length > max(worked_ms * _LONG, _LEAST_MS)
            width = worked_ms * _SHORT if is_long else float(length)
            drawn.append((start, total, width, length))
            total += width
            self._places[end] = total
        self._whole = total or 1.0
        self.gaps: list[JsonObject] = [
            {"left": left / self._whole, "width": width / self._whole, "ms": length}
            for _, left, width, length in drawn
            if length > width
        ]

    def at(self, moment_ms: int) -> float:
        return self._places[moment_ms] / self._whole
