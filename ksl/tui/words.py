"""States, moments and stretches of time as they are put to a person, with their signs and colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ksl.build.canvas.glyphs import ASCII, UNICODE, Glyphs
from ksl.views.now_at import stretch
from ksl.views.times import parse_rfc3339

Json = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """Which signs the terminal gets. A state is never told by its colour alone."""

    glyphs: Glyphs
    states: Mapping[str, str]
    bar: str  # of an attempt
    idle: str  # of the time between two attempts, and of waiting
    gap: str  # where time is left out
    cursor: str
    rule: str
    bullet: str
    down: str = "▾"  # the column that lines are in order of
    bars: str = "▁▂▃▄▅▆▇█"  # from low to high
    ascii: bool = False


NICE = Look(
    UNICODE,
    {
        "queued": "○",
        "running": "●",
        "retrying": "↻",
        "sleeping": "◷",
        "waiting": "‖",
        "held": "!",
        "succeeded": "✓",
        "failed": "✗",
        "cancelled": "⊘",
        "reopened": "○",
        "started": "✓",
        "skipped": "·",
        "rejected": "✗",
    },
    "━",
    "░",
    "┄",
    "▸",
    "─",
    "●",
)
PLAIN = Look(
    ASCII,
    {
        "queued": "[  ]",
        "running": "[..]",
        "retrying": "[~~]",
        "sleeping": "[zz]",
        "waiting": "[||]",
        "held": "[ !]",
        "succeeded": "[ok]",
        "failed": "[!!]",
        "cancelled": "[xx]",
        "reopened": "[  ]",
        "started": "+",
        "skipped": "-",
        "rejected": "x",
    },
    "=",
    ":",
    "~",
    ">",
    "-",
    "*",
    down="v",
    bars=".:-=+*%#",
    ascii=True,
)

COLOURS = {
    "queued": "bright_black",
    "pending": "bright_black",
    "running": "blue",
    "retrying": "yellow",
    "backoff": "yellow",
    "sleeping": "cyan",
    "waiting": "yellow",
    "held": "magenta",
    "succeeded": "green",
    "started": "green",
    "done": "green",
    "failed": "red",
    "rejected": "red",
    "caught": "yellow",
    "cancelled": "bright_black",
    "skipped": "bright_black",
}
ENDED = frozenset({"succeeded", "failed", "cancelled"})


def moment(text: str | None) -> int | None:
    """Unix milliseconds; None for what is no moment, too: an answer is shown as far as it can be read."""
    try:
        return parse_rfc3339(text) if text else None
    except ValueError:
        return None


def of_session(status: str) -> str:
    """The state of a run whose sign and colour it has."""
    return "succeeded" if status == "completed" else status


def took(ms: int) -> str:
    """ "0.21s", "8.3s", "4m10s", "2h05m", "3d4h": three figures say enough."""
    if ms < 0:
        return "0s"
    if ms < 1_000:
        return f"{ms}ms"
    if ms < 10_000:
        return f"{ms / 1000:.2f}s"
    if ms < 60_000:
        return f"{ms / 1000:.1f}s"
    s = ms // 1000
    if s < 3_600:
        return f"{s // 60}m{s % 60:02}s"
    if s < 86_400:
        return f"{s // 3600}h{s % 3600 // 60:02}m"
    return f"{s // 86_400}d{s % 86_400 // 3600}h"


def ago(at_ms: int | None, now_ms: int) -> str:
    return "" if at_ms is None else f"{stretch(now_ms - at_ms)} ago"


def left(at_ms: int | None, now_ms: int) -> str:
    """Until a moment to come; "due" for one that is past."""
    if at_ms is None:
        return ""
    return "due" if at_ms <= now_ms else f"in {stretch(at_ms - now_ms)}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: float) -> str:
    """Of so many bytes."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} GiB"


def bare(step: object) -> str:
    """A step's id, where events write `step:<id>`."""
    return str(step or "").removeprefix("step:")
