"""Users' data made fit for a terminal: on one line or on several, without control characters, cut to the room."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from ksl.build.canvas.fitting import cut
from ksl.build.canvas.glyphs import cells

LINE_MAX = 2_000  # characters of one line that are looked at; a terminal shows a few hundred
_BREAKS = re.compile("[\n\r\t\v\f\x85\u00a0\u2028\u2029]+")


def line(text: object, width: int | None = None) -> str:
    """On one line. What a terminal would obey, or what turns the direction of text, is shown as a sign."""
    shown = str(text)
    shortened = len(shown) > LINE_MAX
    shown = shown[:LINE_MAX]
    if not shown.isprintable():
        shown = "".join(map(_sign, _BREAKS.sub(" ", shown)))
    if shortened:
        shown += "…"
    return shown if width is None else cut(shown, max(width, 1), cells)


def lines(text: str) -> Iterator[str]:
    """Each line by itself; one that is very long goes on in further lines."""
    for each in text.splitlines() or [""]:
        for start in range(0, len(each) or 1, LINE_MAX):
            part = each[start : start + LINE_MAX].replace("\t", "    ")
            yield part if part.isprintable() else "".join(map(_sign, _BREAKS.sub(" ", part)))


def value_lines(value: object) -> Iterator[str]:
    """JSON as people read it; a text that stands alone as itself."""
    if isinstance(value, str):
        yield from lines(value)
    else:
        yield from lines(json.dumps(value, ensure_ascii=False, indent=2))


def short(value: object, width: int) -> str:
    """A JSON value on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return line(text, width)


def padded(text: str, width: int) -> str:
    """Exactly so many cells."""
    shown = cut(text, width, cells) if cells(text) > width else text
    return shown + " " * (width - cells(shown))


def plain(text: str) -> str:
    """With ASCII alone, in as many cells."""
    if text.isascii():
        return text
    return "".join(_PLAIN.get(letter) or ("?" * cells(letter) if letter > "~" else letter) for letter in text)


_PLAIN = {"…": ".", "·": "-", "─": "-", "→": ">", "←": "<", "▸": ">", "│": "|", "•": "*", "’": "'"}


def _sign(letter: str) -> str:
    if letter.isprintable():
        return letter
    if letter < " ":
        return chr(0x2400 + ord(letter))
    return "\N{REPLACEMENT CHARACTER}"
