"""A canvas as indented text, a line for each block: for the terminal and for diffs, and as nested items of a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import assert_never

from ksl.build.canvas import words
from ksl.build.canvas.blocks import (
    Block,
    Canvas,
    Decision,
    Helper,
    Lane,
    Loop,
    Opaque,
    Parallel,
    Scope,
    Step,
    Terminal,
    Try,
    Wait,
)
from ksl.build.canvas.fitting import cut
from ksl.build.canvas.glyphs import ASCII, UNICODE, Glyphs, cells
from ksl.build.canvas.lights import Lights, NodeState

WIDTH = 100
_NOTES_LEAST, _NOTES_MOST = 30, 60  # where notes begin, unless a step's id is longer


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    id: str | None = None  # of the step that it is about


@dataclass(frozen=True, slots=True)
class Item:
    """`said` is in words, for those who hear it; `sign` says the same as `state`, for those who see it."""

    said: str
    sign: str = ""
    id: str | None = None
    state: NodeState | None = None
    items: list[Item] = field(default_factory=list["Item"])


def outline(canvas: Canvas, lights: Lights | None = None, *, ascii: bool = False) -> str:
    """With `lights` each step has its state and what there is to say of it, instead of its inputs."""
    return "".join(f"{line.text}\n" for line in outline_lines(canvas, lights, ascii=ascii))


def outline_lines(canvas: Canvas, lights: Lights | None = None, *, ascii: bool = False) -> list[Line]:
    glyphs = ASCII if ascii else UNICODE
    lines = list(_Outline(glyphs, lights).sequence(canvas.blocks)) or [_Line("no steps")]
    hidden = [
        _Line(f"unreached {site.key or 'a dynamic step'} (line {site.line})") for site in canvas.unplaced
    ]
    longest = max((cells(line.text) for line in lines if line.note), default=0)
    column = min(max(longest + 2, _NOTES_LEAST), _NOTES_MOST)
    return [Line(_printed(line, column, glyphs), line.id) for line in [*lines, *hidden]]


def outline_items(canvas: Canvas, lights: Lights | None = None) -> list[Item]:
    """The same as a list of lists, without what lines are drawn with."""
    top: list[Item] = []
    levels = [top]
    for line in _Outline(UNICODE, lights).sequence(canvas.blocks):
        if not line.said:
            continue  # closes a frame
        del levels[line.depth + 1 :]
        light = words.light_of(line.id, lights) if line.id is not None else None
        state = light.state if light is not None else None
        item = Item(line.said, UNICODE.states[state] if state else "", line.id, state)
        levels[-1].append(item)
        levels.append(item.items)
    return top


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    said: str = ""
    note: str = ""
    id: str | None = None
    depth: int = 0


class _Outline:
    def __init__(self, glyphs: Glyphs, lights: Lights | None) -> None:
        self._glyphs = glyphs
        self._lights = lights

    def sequence(self, blocks: tuple[Block, ...]) -> Iterator[_Line]:
        for block in blocks:
            yield from self._block(block)

    def _block(self, block: Block) -> Iterator[_Line]:
        glyphs = self._glyphs
        match block:
            case Step() | Wait():
                yield self._step(block)
            case Terminal(kind=kind):
                yield _Line(f"{glyphs.terminals[kind]} {words.terminal(block)}", words.terminal(block))
            case Opaque(steps=steps):
                title = words.title(block)
                yield _Line(f"{glyphs.opaque} {title}", f"not drawn further: {title}")
                for step in steps:
                    line = self._step(replace(step, inputs=()))
                    yield replace(line, text=f"{glyphs.opaque}  {line.text}", depth=1)
            case Decision(lanes=lanes):
                yield from self._decision(block, lanes)
            case Loop(blocks=blocks, no_break=other):
                yield from self._frame(words.title(block), blocks, sign=glyphs.loop)
                yield from self._lanes([(other.label, other)] if other is not None else [])
            case Parallel(lanes=(first, *others)):
                title = words.title(block)
                title = f"{title} · {first.label}" if first.label else title
                yield from self._frame(title, first.blocks, sign=glyphs.parallel)
                yield from self._lanes([(lane.label, lane) for lane in others])
            case Parallel():
                raise AssertionError("a parallel block has at least one lane")
            case Try(blocks=blocks, handlers=handlers, always=always):
                yield from self._frame(words.title(block), blocks)
                on_error = [(lane.label, lane) for lane in handlers]
                yield from self._lanes(on_error, mark=glyphs.error_lane, close=always is None)
                if always is not None:
                    yield from self._lanes([(always.label, always)])
            case Scope(blocks=blocks):
                yield from self._frame(words.title(block), blocks)
                yield _Line(glyphs.closes)
            case Helper(blocks=blocks):
                yield from self._frame(words.title(block), blocks, sign=glyphs.helper)
                yield _Line(glyphs.closes)
            case _:
                assert_never(block)

    def _decision(self, block: Decision, lanes: tuple[Lane, ...]) -> Iterator[_Line]:
        first, *others = lanes
        if block.form == "match":
            yield from self._frame(words.asked(block), ())
            yield from self._lanes([(_case(lane.label), lane) for lane in lanes])
            return
        yield from self._frame(f"if {block.label}", first.blocks)
        elifs = block.form == "if"
        yield from self._lanes(
            [
                (f"elif {lane.label}" if elifs and lane.label != "else" else lane.label, lane)
                for lane in others
            ]
        )

    def _step(self, block: Step | Wait) -> _Line:
        glyphs = self._glyphs
        name = f"{glyphs.kinds[block.kind]} {block.id}"
        light = words.light_of(block.id, self._lights)
        if light is not None:
            said = words.heard(block, words.spoken(light))
            return _Line(f"{glyphs.states[light.state]} {name}", said, words.told(light), block.id)
        chips = [f"{one.field}={one.expression}" if one.field else one.expression for one in block.inputs]
        if isinstance(block, Step) and block.inputs_hidden:
            chips.append(glyphs.more)
        text = f"{name}  {', '.join(chips)}" if chips else name
        return _Line(text, words.heard(block, f"with {', '.join(chips)}" if chips else ""), id=block.id)

    def _frame(self, title: str, blocks: tuple[Block, ...], *, sign: str = "") -> Iterator[_Line]:
        yield _Line(f"{self._glyphs.opens} {sign}{title}".rstrip(), title)
        yield from self._inside(blocks)

    def _lanes(
        self, lanes: list[tuple[str, Lane]], *, mark: str | None = None, close: bool = True
    ) -> Iterator[_Line]:
        for title, lane in lanes:
            if words.passes(lane):
                continue  # straight through, as an `if` without `else` does
            yield _Line(f"{mark or self._glyphs.lane} {title}".rstrip(), title or "and")
            yield from self._inside(lane.blocks)
        if close:
            yield _Line(self._glyphs.closes)

    def _inside(self, blocks: tuple[Block, ...]) -> Iterator[_Line]:
        for line in self.sequence(blocks):
            yield replace(line, text=f"{self._glyphs.inside}  {line.text}", depth=line.depth + 1)


def _case(label: str) -> str:
    return label if label in ("else", "no match") else f"case {label}"


def _printed(line: _Line, column: int, glyphs: Glyphs) -> str:
    # Indentation is kept: only what an author wrote may hold more white space than a single one.
    text = line.text if not glyphs.ascii else line.text.replace("·", "-").replace("…", "...")
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    if glyphs.ascii:
        text = text.encode("ascii", "replace").decode()
    if line.note:
        text = f"{text}{' ' * max(column - cells(text), 2)}{glyphs.text(line.note)}"
    return cut(text, WIDTH, cells, glyphs.more)
