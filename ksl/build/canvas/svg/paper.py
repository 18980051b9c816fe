"""How large things are on paper, in pixels."""

from __future__ import annotations

from math import ceil
from typing import Literal

from ksl.build.canvas import words
from ksl.build.canvas.blocks import Decision, Step, Terminal, Wait
from ksl.build.canvas.fitting import cut, wrapped
from ksl.build.canvas.layout import Face, FrameKind, Spacing
from ksl.build.canvas.svg.text_width import CODE_EM, code_width, text_width

NAME = 13.0  # font sizes
CODE = 11.0
SMALL = 10.5

ICON_ROOM = 40  # left of a step's name
STATE_ROOM = 30  # right of it
NOTE_LEAST = 102  # "1.4 s, 2 tries" always finds room
INPUTS_MOST = 165

SPACING = Spacing(
    side=32,
    below=26,
    stub=12,
    aside=124,
    error=40,
    error_y=13,
    split=16,
    label_above=8,
    label_below=18,
    split_below=18,
    join=18,
    after_join=8,
    frame_side=18,
    frame_top=26,
    frame_above=20,
    frame_below=18,
    border=0,
    empty=6,
    back=16,
    snap=32,
)


class Paper:
    """Nothing depends on the state of nodes: a page may light a drawing without placing anything anew."""

    spacing = SPACING

    def ending(self, of: Literal["start", "end"], text: str) -> Face:
        if of == "end":
            return Face(12, 12, (), "end")
        name = cut(words.one_line(text), 320, _name)
        return Face(ceil(_name(name)) + 46, 34, (name,), text)

    def node(self, block: Step | Wait, *, hidden: bool) -> Face:
        full = "\n".join([block.id, *words.chips(block)])
        if hidden:
            name = cut(words.name(block), 240, _code)
            return Face(ceil(_code(name)) + 58, 26, (name,), full)
        name = cut(words.name(block), 280, _name)
        inputs = _inputs(block)
        width = max(NOTE_LEAST, _name(name), min(_small(inputs), INPUTS_MOST))
        inputs = cut(inputs, width, _small)
        return Face(ceil(width) + ICON_ROOM + STATE_ROOM, 46, (name, inputs), full)

    def question(self, block: Decision, text: str) -> Face:
        lines = wrapped(words.one_line(text), 210, _code)
        return Face(ceil(max(map(_code, lines))) + 44, 36 if len(lines) == 1 else 48, lines, text)

    def terminal(self, block: Terminal, text: str) -> Face:
        line = cut(words.one_line(text), 170, _code)
        return Face(ceil(_code(line)) + 38, 26, (line,), f"{block.kind} {block.label}".rstrip())

    def label(self, text: str, *, lines: Literal[1, 2] = 2) -> Face:
        line = words.one_line(text)
        shown = wrapped(line, 150, _code) if lines == 2 else (cut(line, 150, _code),)
        return Face(ceil(max(map(_code, shown))) + 16, 4 + 15 * len(shown), shown, text)

    def title(self, kind: FrameKind, text: str) -> Face:
        line = cut(words.one_line(text), 300, _code)
        return Face(ceil(_code(line)) + 46, SPACING.frame_top, (line,), text)


def note_room(face: Face) -> int:
    """How many characters fit below a step's name."""
    return int((face.width - ICON_ROOM - STATE_ROOM) / (SMALL * CODE_EM))


def _inputs(block: Step | Wait) -> str:
    """All of it if there is room; of many that need more, their names."""
    whole = words.one_line(words.gist(block) or ", ".join(words.chips(block)))
    if len(block.inputs) < 2 or words.gist(block) or _small(whole) <= INPUTS_MOST:
        return whole
    return words.one_line(", ".join(words.fields(block)))


def _name(text: str) -> float:
    return text_width(text, NAME)


def _code(text: str) -> float:
    return code_width(text, CODE)


def _small(text: str) -> float:
    return code_width(text, SMALL)
