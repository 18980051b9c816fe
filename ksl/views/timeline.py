"""A run's steps side by side in time: a bar for each attempt, and for what lies between two of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ksl.views.lights import node_path
from ksl.views.time_scale import Stretch, TimeScale
from ksl.views.times import parse_rfc3339
from ksl.views.values import JsonObject

ROWS_MOST = 300
GROUPED = 500  # more steps than that are shown as one row for each place in the code
_WAITS = ("sleep", "hook")


class Bar(NamedTuple):
    """`works`: not a wait, nor the time between two attempts. One that is open reaches until now. `around` is one of
    a step with others inside, which say when it works and when it waits."""

    start_ms: int
    end_ms: int
    status: str
    works: bool
    open: bool
    around: bool = False

    @property
    def stretch(self) -> Stretch:
        return Stretch(self.start_ms, self.end_ms, self.works and not self.around)


class Track(NamedTuple):
    """A step in time; or, where `stands_for` is more than 1, the steps of one place in the code, by its path."""

    id: str
    status: str
    bars: tuple[Bar, ...]
    stands_for: int = 1


def tracks(steps: Iterable[JsonObject], spans: Iterable[JsonObject], *, now_ms: int) -> list[Track]:
    """Steps that have begun, in the order they are given. `steps` and `spans` as `ksl.views.runs` answers them."""
    attempts: dict[str, list[JsonObject]] = {}
    for span in spans:
        if span["kind"] == "attempt":
            attempts.setdefault(span["parent"], []).append(span)
    begun = [step for step in steps if step["started_at"]]
    outer = {path for step in begun for path in _paths(step)[:-1]}
    return [
        Track(
            step["id"],
            step["status"],
            tuple(
                bar._replace(around=step["id"] in outer)
                for bar in _bars(step, attempts.get(step["id"], []), now_ms)
            ),
        )
        for step in begun
    ]


def grouped(found: Sequence[Track]) -> list[Track]:
    """One for each place in the code; its status is that of the newest step of it that did not succeed."""
    paths: dict[str, list[Track]] = {}
    for each in found:
        paths.setdefault(node_path(each.id), []).append(each)
    return [
        Track(
            path,
            next((each.status for each in reversed(all) if each.status != "succeeded"), "succeeded"),
            tuple(bar for each in all for bar in each.bars),
            len(all),
        )
        for path, all in paths.items()
    ]


def timeline_json(
    steps: Sequence[JsonObject],
    spans: Iterable[JsonObject],
    *,
    now_ms: int,
    most: int = ROWS_MOST,
    true: bool = False,
) -> JsonObject:
    """`steps` and `spans` as `ksl.views.runs` answers them. `true`: no stretch of time is drawn short.

    Shape:   `rows`, the newest `most`: a step with its `bars`, each with `left` and `width` as parts of the whole;
             one stands before those inside it;
             `gaps`: `{"left", "width", "ms"}` where more time passed than is drawn; `earlier`: rows left out.
    """
    begun = _outer_first([step for step in steps if step["started_at"]])
    shown = begun[-most:]
    found = tracks(shown, spans, now_ms=now_ms)
    scale = TimeScale((bar.stretch for track in found for bar in track.bars), true=true)
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
                    for bar in track.bars
                ],
            }
            for step, track in zip(shown, found, strict=True)
        ],
        "gaps": [gap._asdict() for gap in scale.gaps],
        "earlier": len(begun) - len(shown),
    }


def _outer_first(steps: Sequence[JsonObject]) -> list[JsonObject]:
    """A step before those inside it, in the place of the first of them; else as they are given."""
    first: dict[str, int] = {}
    for place, step in enumerate(steps):
        for path in _paths(step):
            first.setdefault(path, place)
    return sorted(steps, key=lambda step: [first[path] for path in _paths(step)])


def _paths(step: JsonObject) -> list[str]:
    """The ids of the steps that it lies in, the outermost first, and its own."""
    parts = str(step["id"]).split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _bars(step: JsonObject, attempts: Sequence[JsonObject], now_ms: int) -> list[Bar]:
    start, end, open = *_ends(step, now_ms), step["finished_at"] is None
    status: str = step["status"]
    if step["kind"] in _WAITS:
        return [Bar(start, end, status, works=False, open=open)]
    if not attempts:
        return [Bar(start, end, status, works=status != "reopened", open=open)]
    bars: list[Bar] = []
    for attempt in attempts:
        begun, ended = _ends(attempt, now_ms)
        if bars and begun > bars[-1].end_ms:
            bars.append(Bar(bars[-1].end_ms, begun, "backoff", works=False, open=False))
        bars.append(Bar(begun, ended, attempt["status"], works=True, open=False))
    if open and end > bars[-1].end_ms:
        running = status == "running"
        begun = bars[-1].end_ms
        bars.append(Bar(begun, end, "running" if running else "backoff", works=running, open=True))
    return bars


def _ends(item: JsonObject, now_ms: int) -> tuple[int, int]:
    start = parse_rfc3339(item["started_at"])
    return start, max(start, parse_rfc3339(item["finished_at"]) if item["finished_at"] else now_ms)
