"""A canvas as boxes and lines of characters, for terminals that are wide enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ksl.build.canvas import words
from ksl.build.canvas.blocks import Canvas, Decision, Step, Terminal, Wait
from ksl.build.canvas.fitting import cut, wrapped
from ksl.build.canvas.glyphs import ASCII, UNICODE, Glyphs, cells
from ksl.build.canvas.layout import Edge, Face, Frame, FrameKind, Label, Node, Shape, Spacing, arrange
from ksl.build.canvas.lights import Lights

_NORTH, _SOUTH, _EAST, _WEST = 1, 2, 4, 8  # added up they are the place in `Glyphs.lines`

_SPACING = Spacing(
    side=2,
    below=1,
    stub=2,
    aside=14,
    error=3,
    error_y=1,
    split=0,
    label_above=1,
    label_below=0,
    split_below=1,
    join=0,
    after_join=1,
    frame_side=2,
    frame_top=1,
    frame_above=0,
    frame_below=1,
    border=1,
    empty=1,
    back=0,
    snap=3,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Which cells a step takes up, to colour them or to choose the step. Columns and rows count from 0."""

    id: str
    column: int
    row: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Boxes:
    text: str  # lines, each with its line break
    width: int  # in cells
    height: int
    places: tuple[Place, ...]  # in the order of the source


def boxes(canvas: Canvas, lights: Lights | None = None, *, ascii: bool = False) -> Boxes:
    glyphs = ASCII if ascii else UNICODE
    drawing = arrange(canvas, Sheet(glyphs, lights))
    grid = _Grid(drawing.width, drawing.height, glyphs)
    for shape in sorted(drawing.shapes, key=_layer):
        grid.draw(shape)
    never = [f"unreached {site.key or 'a dynamic step'} (line {site.line})" for site in canvas.unplaced]
    lines = [*grid.lines(), *never]
    places = [
        Place(shape.of.id, shape.x, shape.y, shape.face.width, shape.face.height)
        for shape in drawing.shapes
        if isinstance(shape, Node) and isinstance(shape.of, Step | Wait)
    ]
    return Boxes("\n".join(lines) + "\n", max(map(cells, lines)), len(lines), tuple(places))


class Sheet:
    """How large things are, in cells."""

    spacing = _SPACING

    def __init__(self, glyphs: Glyphs, lights: Lights | None) -> None:
        self._glyphs = glyphs
        self._lights = lights

    def ending(self, of: Literal["start", "end"], text: str) -> Face:
        return self._face(f"( {self._cut(text or 'end', 60)} )", text)

    def node(self, block: Step | Wait, *, hidden: bool) -> Face:
        glyphs = self._glyphs
        light = words.light_of(block.id, self._lights)
        parts = [glyphs.kinds[block.kind], self._cut(words.name(block), 48), self._cut(words.gist(block), 24)]
        if light is not None:
            parts = [glyphs.states[light.state], *parts, glyphs.counted(light)]
        line = " ".join(filter(None, parts))
        if hidden:
            return self._face(line, block.id)
        return Face(cells(line) + 4, 3, (line,), block.id)

    def question(self, block: Decision, text: str) -> Face:
        begin, end = self._glyphs.question
        lines = wrapped(self._glyphs.text(text), 32, cells, self._glyphs.more)
        wide = max(map(cells, lines))
        padded = tuple(f"{begin} {_centred(line, wide)} {end}" for line in lines)
        return Face(wide + 4, len(lines), padded, text)

    def terminal(self, block: Terminal, text: str) -> Face:
        return self._face(f"( {self._glyphs.terminals[block.kind]} {self._cut(text, 30)} )", text)

    def label(self, text: str, *, lines: Literal[1, 2] = 2) -> Face:
        line = self._glyphs.text(text)
        shown = wrapped(line, 24, cells, self._glyphs.more) if lines == 2 else (self._cut(text, 24),)
        wide = max(map(cells, shown))
        return Face(wide, len(shown), tuple(_centred(line, wide) for line in shown), text)

    def title(self, kind: FrameKind, text: str) -> Face:
        glyphs = self._glyphs
        sign = {"loop": glyphs.loop, "parallel": glyphs.parallel, "helper": glyphs.helper}.get(kind, "")
        line = f"{sign or (glyphs.opaque + ' ' if kind == 'opaque' else '')}{self._cut(text, 44)}"
        return Face(cells(line) + 5, 1, (line,), text)

    def _cut(self, text: str, most: int) -> str:
        return cut(self._glyphs.text(text), most, cells, self._glyphs.more)

    def _face(self, line: str, full: str) -> Face:
        return Face(cells(line), 1, (line,), full)


class _Grid:
    def __init__(self, width: int, height: int, glyphs: Glyphs) -> None:
        self._rows = [[" "] * width for _ in range(height)]
        self._glyphs = glyphs
        self._ways: dict[tuple[int, int], int] = {}  # where lines lead from each cell that they take

    def draw(self, shape: Shape) -> None:
        match shape:
            case Frame():
                self._box(shape.x, shape.y, shape.width, shape.height, self._glyphs.frame)
                begin, end = self._glyphs.title
                self._write(shape.x + 1, shape.y, f"{begin}{shape.face.lines[0]}{end}")
            case Edge():
                self._edge(shape)
            case Label():
                for index, line in enumerate(shape.face.lines):
                    self._write(shape.x, shape.y + index, line)
            case Node(of=Step() | Wait(), hidden=False):
                self._box(shape.x, shape.y, shape.face.width, 3, self._glyphs.node)
                self._write(shape.x + 2, shape.y + 1, shape.face.lines[0])
            case Node():
                for index, line in enumerate(shape.face.lines):
                    self._write(shape.x, shape.y + index, line)

    def lines(self) -> Iterator[str]:
        for row in self._rows:
            yield "".join(row).rstrip()

    def _edge(self, edge: Edge) -> None:
        from_side = edge.kind in ("aside", "error")
        way = list(_cells_of(edge.points))
        for (x, y), (next_x, next_y) in pairwise(way):
            self._lead(x, y, _direction(next_x - x, next_y - y), edge)
            if (next_x, next_y) != way[-1]:
                self._lead(next_x, next_y, _direction(x - next_x, y - next_y), edge)
        self._lead(*way[0], _WEST if from_side else _NORTH, edge)
        if edge.kind == "error" and len(edge.points) == 2:
            self._write(*way[-2], self._glyphs.arrow)

    def _lead(self, x: int, y: int, direction: int, edge: Edge) -> None:
        ways = self._ways.get((x, y), 0) | direction
        self._ways[x, y] = ways
        level, upright = self._glyphs.dashed
        if edge.kind in ("error", "leave") and ways in (_EAST | _WEST, _NORTH | _SOUTH):
            self._rows[y][x] = level if ways == _EAST | _WEST else upright
        else:
            self._rows[y][x] = self._glyphs.lines[ways]

    def _box(self, x: int, y: int, width: int, height: int, pen: str) -> None:
        upper_left, upper_right, lower_right, lower_left, level, upright = pen
        right, bottom = x + width - 1, y + height - 1
        self._rows[y][x : right + 1] = upper_left + level * (width - 2) + upper_right
        for row in range(y + 1, bottom):
            self._rows[row][x] = self._rows[row][right] = upright
        self._rows[bottom][x : right + 1] = lower_left + level * (width - 2) + lower_right

    def _write(self, x: int, y: int, text: str) -> None:
        """A wide letter leaves nothing in its second cell; an accent shares the cell of its letter."""
        row = self._rows[y]
        if text.isascii():
            row[x : x + len(text)] = text
            return
        for letter in text:
            taken = cells(letter)
            if not taken:
                row[x - 1 if row[x - 1] else x - 2] += letter
                continue
            row[x] = letter
            row[x + 1 : x + taken] = [""] * (taken - 1)
            x += taken


def _layer(shape: Shape) -> int:
    """What is drawn later lies above: a label on its line, a box at the end of one."""
    return (Frame, Edge, Label, Node).index(type(shape))


def _cells_of(points: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, int]]:
    """Every cell from the first point to the last, which belongs to the box that the line leads to."""
    yield points[0]
    for (x, y), (to_x, to_y) in pairwise(points):
        step_x, step_y = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
        while (x, y) != (to_x, to_y):
            x, y = x + step_x, y + step_y
            yield x, y


def _direction(dx: int, dy: int) -> int:
    if dy:
        return _SOUTH if dy > 0 else _NORTH
    return _EAST if dx > 0 else _WEST


def _centred(text: str, width: int) -> str:
    left = (width - cells(text)) // 2
    return " " * left + text + " " * (width - cells(text) - left)
