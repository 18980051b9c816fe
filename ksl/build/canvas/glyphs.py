"""The signs that a canvas is drawn with in a terminal, and how many cells a text takes there."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ksl.build.canvas.lights import Light, NodeState
from ksl.build.canvas.words import PRESSING


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Each sign takes one cell, but for those of ASCII, which are words."""

    kinds: Mapping[str, str]
    states: Mapping[NodeState, str]
    terminals: Mapping[str, str]
    loop: str
    parallel: str
    helper: str
    opaque: str
    opens: str  # the outline's frames
    inside: str
    lane: str
    error_lane: str
    closes: str
    more: str  # something is left out here
    lines: str  # by the directions a line leads in: see `boxes.py`
    dashed: tuple[str, str]
    arrow: str
    node: str  # corners from the upper left on, clockwise, then the horizontal and the vertical edge
    frame: str
    title: tuple[str, str]
    question: tuple[str, str]
    ascii: bool

    def text(self, text: str) -> str:
        """On one line, of what can be printed; for ASCII of what that holds."""
        line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
        return line.replace("…", "...").encode("ascii", "replace").decode() if self.ascii else line

    def counted(self, light: Light) -> str:
        """ "7✓ 1✗", where a node was met more than once."""
        if sum(light.counts.values()) < 2:
            return ""
        order: list[NodeState] = ["done", *(state for state in PRESSING if state != "done")]
        return " ".join(
            f"{light.counts[state]}{self.states[state]}" for state in order if light.counts.get(state)
        )


UNICODE = Glyphs(
    kinds={
        "action": "▸",
        "agent": "◆",
        "llm": "✦",
        "workflow": "»",
        "sleep": "◷",
        "hook": "‖",
        "dynamic": "?",
    },
    states={
        "pending": "○",
        "running": "●",
        "retrying": "◐",
        "waiting": "◌",
        "done": "✓",
        "failed": "✗",
        "caught": "!",
        "skipped": "·",
        "cancelled": "⊘",
    },
    terminals={"return": "■", "raise": "✗", "break": "⏏", "continue": "↺"},
    loop="↻ ",
    parallel="‖ ",
    helper="ƒ ",
    opaque="▒",
    opens="┌",
    inside="│",
    lane="├",
    error_lane="├╌",
    closes="└",
    more="…",
    lines=" │││─└┌├─┘┐┤─┴┬┼",
    dashed=("╌", "╎"),
    arrow="▸",
    node="╭╮╯╰─│",
    frame="┏┓┛┗━┃",
    title=("╸", "╺"),
    question=("⟨", "⟩"),
    ascii=False,
)
ASCII = Glyphs(
    kinds={
        "action": ">",
        "agent": "@",
        "llm": "*",
        "workflow": ">>",
        "sleep": "zz",
        "hook": "||",
        "dynamic": "?",
    },
    states={
        "pending": "[  ]",
        "running": "[..]",
        "retrying": "[~~]",
        "waiting": "[zz]",
        "done": "[ok]",
        "failed": "[!!]",
        "caught": "[ !]",
        "skipped": "[--]",
        "cancelled": "[xx]",
    },
    terminals={"return": "#", "raise": "!", "break": "^", "continue": "^"},
    loop="",
    parallel="",
    helper="",
    opaque="#",
    opens="+",
    inside="|",
    lane="+",
    error_lane="+-",
    closes="+",
    more="...",
    lines=" |||-+++-+++-+++",
    dashed=("-", ":"),
    arrow=">",
    node="++++-|",
    frame="++++=|",
    title=(" ", " "),
    question=("<", ">"),
    ascii=True,
)


def cells(text: str) -> int:
    """How many character cells a terminal gives a text: two for wide letters, none for accents put on others."""
    return len(text) if text.isascii() else sum(map(_cells, text))


@lru_cache(maxsize=4096)
def _cells(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1
