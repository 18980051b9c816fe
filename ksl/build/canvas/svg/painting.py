"""A drawing as SVG. Everything that is seen has a class; what it looks like is said by `canvas.css`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import assert_never

from ksl.build.canvas import words
from ksl.build.canvas.blocks import Canvas, Decision, Opaque, Step, Terminal, Wait
from ksl.build.canvas.layout import Edge, Frame, Label, Node, arrange
from ksl.build.canvas.lights import Lights
from ksl.build.canvas.svg import icons
from ksl.build.canvas.svg.lines import edge
from ksl.build.canvas.svg.markup import escaped, icon, quoted
from ksl.build.canvas.svg.paper import ICON_ROOM, Paper, note_room

MARGIN = 20
_SLANT = 13  # of a question's sides


def svg(canvas: Canvas, lights: Lights | None = None, *, style: bool = True) -> str:
    """`style`: with the style sheet in it, for a file. Without, the page has to serve `stylesheet()`.

    A node has its id in `data-id`. The steps of an opaque block may be those of another one, too.
    A page that lights a drawing as a run goes on changes three things of a node: its class `state-...`, the `href` of
    its `use.sign`, and the text of its `.note`, up to `data-most` characters, with the class `noted` while there is
    one; and of the frame of an opaque block, found by the ids of its steps in `data-steps`, the class alone. That
    needs `lights` from the start, though they may be empty.
    """
    drawing = arrange(canvas, Paper())
    painter = _Painter(lights)
    frames = [painter.frame(shape) for shape in drawing.shapes if isinstance(shape, Frame)]
    edges = [edge(shape) for shape in drawing.shapes if isinstance(shape, Edge)]
    labels = [_label(shape) for shape in drawing.shapes if isinstance(shape, Label)]
    nodes = [painter.node(shape) for shape in drawing.shapes if isinstance(shape, Node)]
    never = list(_never_reached(canvas, drawing.height))
    width = max(drawing.width, 260 if never else 0) + 2 * MARGIN
    height = drawing.height + 2 * MARGIN + 18 * len(never)
    name = escaped(canvas.workflow)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ksl-canvas" role="graphics-document" '
        f'aria-roledescription="canvas" aria-label={quoted(f"Workflow {canvas.workflow}")} '
        f'viewBox="{-MARGIN} {-MARGIN} {width} {height}" width="{width}" height="{height}">'
    )
    parts = [
        opening,
        f"<title>{name}</title>",
        f"<style>{stylesheet()}.ksl-canvas {{ min-width: {width * 3 // 5}px; }}\n</style>" if style else "",
        _signs() if lights is not None else "",
        *frames,
        '<g aria-hidden="true">',
        *edges,
        *labels,
        "</g>",
        *nodes,
        *never,
        "</svg>",
    ]
    return "\n".join(filter(None, parts)) + "\n"


@cache
def stylesheet() -> str:
    return Path(__file__).with_name("canvas.css").read_text(encoding="utf-8")


class _Painter:
    def __init__(self, lights: Lights | None) -> None:
        self._lights = lights

    def frame(self, frame: Frame) -> str:
        x, y, width = frame.x, frame.y, frame.width
        (text,) = frame.face.lines
        state = (
            f" state-{self._state_of(frame.of)}"
            if isinstance(frame.of, Opaque) and self._lights is not None
            else ""
        )
        steps = f" data-steps={quoted(words.block_id(frame.of))}" if isinstance(frame.of, Opaque) else ""
        strip = frame.face.height
        return (
            f'<g class="frame {frame.kind}{state}"{steps}><title>{escaped(frame.face.full)}</title>'
            f'<rect x="{x}" y="{y}" width="{width}" height="{frame.height}" rx="10"/>'
            f'<path class="strip" d="M{x} {y + strip}v{10 - strip}a10 10 0 0 1 10-10h{width - 20}'
            f'a10 10 0 0 1 10 10v{strip - 10}z"/>'
            f"{icon(icons.FRAME[frame.kind], x + 9, y + 6, 14)}"
            f'<text x="{x + 30}" y="{y + 17}">{escaped(text)}</text></g>'
        )

    def node(self, node: Node) -> str:
        match node.of:
            case "start":
                return _start(node)
            case "end":
                return (
                    f'<g class="node end"><title>end</title>'
                    f'<circle class="box" cx="{node.x + 6}" cy="{node.y + 6}" r="5"/></g>'
                )
            case Terminal():
                return _terminal(node, node.of)
            case Decision():
                return _question(node, node.of)
            case Step() | Wait():
                return self._step(node, node.of)
            case _:
                assert_never(node.of)

    def _step(self, node: Node, block: Step | Wait) -> str:
        light = words.light_of(block.id, self._lights)
        said = words.told(light) if light is not None else ""
        classes = f"node {'row ' if node.hidden else ''}{block.kind}"
        if light is not None:
            classes += f" state-{light.state}{' noted' if said else ''}"
        x, y, width, height = node.x, node.y, node.face.width, node.face.height
        corner = 6 if node.hidden else 10
        state = words.spoken(light) if light is not None else ""
        spoken = words.heard(block, state)
        tip = "\n".join(filter(None, [node.face.full, state]))
        rect = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="{corner}"'
        opening = (
            f'<g class="{classes}" data-id={quoted(block.id)} role="graphics-symbol" tabindex="0" '
            f"aria-label={quoted(spoken)}><title>{escaped(tip)}</title>"
        )
        parts = [
            opening,
            f'<rect class="box" {rect}/>',
            f'<rect class="wash" {rect} fill="none"/>' if light is not None else "",
            self._row(node, block) if node.hidden else self._face(node, block, said),
        ]
        if light is not None:
            room = 14
            parts.append(
                f'<use class="sign" href="#ksl-{light.state}" x="{x + width - room - 9}" '
                f'y="{y + (height - room) // 2}" width="{room}" height="{room}"/>'
            )
        return "".join([*parts, "</g>"])

    def _row(self, node: Node, block: Step | Wait) -> str:
        (name,) = node.face.lines
        return (
            f"{icon(icons.KIND[block.kind], node.x + 9, node.y + 6, 14)}"
            f'<text x="{node.x + 30}" y="{node.y + 17}">{escaped(name)}</text>'
        )

    def _face(self, node: Node, block: Step | Wait, said: str) -> str:
        name, inputs = node.face.lines
        x, y, height = node.x, node.y, node.face.height
        middle = y + height // 2
        second = inputs or self._lights is not None
        left = x + ICON_ROOM
        return (
            f'<rect class="badge" x="{x + 8}" y="{middle - 13}" width="26" height="26" rx="7"/>'
            f"{icon(icons.KIND[block.kind], x + 13, middle - 8, 16)}"
            f'<text class="name" x="{left}" y="{middle - 3 if second else middle + 5}">{escaped(name)}</text>'
            + (
                f'<text class="inputs" x="{left}" y="{middle + 13}">{escaped(inputs)}</text>'
                if inputs
                else ""
            )
            + (_note(node, said, left, middle + 13) if self._lights is not None else "")
        )

    def _state_of(self, block: Opaque) -> str:
        return words.state_of(block, self._lights)


def _note(node: Node, said: str, x: int, y: int) -> str:
    """`data-most` tells a page that writes another note how many characters there is room for."""
    most = note_room(node.face)
    short = said if len(said) <= most else said[: most - 1].rstrip() + "…"
    return f'<text class="note" data-most="{most}" x="{x}" y="{y}">{escaped(short)}</text>'


def _start(node: Node) -> str:
    (name,) = node.face.lines
    x, y, width, height = node.x, node.y, node.face.width, node.face.height
    return (
        f'<g class="node start"><title>{escaped(node.face.full)}</title>'
        f'<rect class="box" x="{x}" y="{y}" width="{width}" height="{height}" rx="{height // 2}"/>'
        f"{icon(icons.START, x + 12, y + 10, 14)}"
        f'<text class="name" x="{x + 30}" y="{y + 21}">{escaped(name)}</text></g>'
    )


def _terminal(node: Node, block: Terminal) -> str:
    (line,) = node.face.lines
    x, y, width, height = node.x, node.y, node.face.width, node.face.height
    return (
        f'<g class="node terminal {block.kind}" role="graphics-symbol" aria-label={quoted(node.face.full)}>'
        f"<title>{escaped(node.face.full)}</title>"
        f'<rect class="box" x="{x}" y="{y}" width="{width}" height="{height}" rx="{height // 2}"/>'
        f"{icon(icons.TERMINAL[block.kind], x + 10, y + 7, 12)}"
        f'<text x="{x + 27}" y="{y + 17}">{escaped(line)}</text></g>'
    )


def _question(node: Node, block: Decision) -> str:
    x, y, width, height = node.x, node.y, node.face.width, node.face.height
    right, bottom, middle = x + width, y + height, y + height / 2
    left_in, right_in = x + _SLANT, right - _SLANT
    points = (
        f"{x},{middle} {left_in},{y} {right_in},{y} {right},{middle} {right_in},{bottom} {left_in},{bottom}"
    )
    return (
        f'<g class="node question" role="graphics-symbol" tabindex="0" '
        f"aria-label={quoted(f'decision: {node.face.full}')}><title>{escaped(block.label)}</title>"
        f'<polygon class="box" points="{points}"/>'
        f"{_lines(node.face.lines, x + width / 2, middle)}</g>"
    )


def _label(label: Label) -> str:
    x, y, face = label.x, label.y, label.face
    return (
        f'<g class="label"><title>{escaped(face.full)}</title>'
        f'<rect x="{x}" y="{y}" width="{face.width}" height="{face.height}" rx="9"/>'
        f"{_lines(face.lines, x + face.width / 2, y + face.height / 2)}</g>"
    )


def _lines(lines: tuple[str, ...], x: float, middle: float) -> str:
    first = middle + 3.5 - 7.5 * (len(lines) - 1)
    return "".join(
        f'<text class="middle" x="{x:g}" y="{first + 15 * index:g}">{escaped(line)}</text>'
        for index, line in enumerate(lines)
    )


@cache
def _signs() -> str:
    """Referred to by nodes, so that a page changes a node's sign by changing one `href`."""
    signs = (
        f'<symbol id="ksl-{state}" viewBox="0 0 16 16"><path d="{path}"/></symbol>'
        for state, path in icons.STATE.items()
    )
    return f"<defs>{''.join(signs)}</defs>"


def _never_reached(canvas: Canvas, height: int) -> Iterator[str]:
    for index, site in enumerate(canvas.unplaced):
        name = site.key or "a dynamic step"
        yield (
            f'<text class="inputs" x="0" y="{height + 16 + 18 * index}">never reached: '
            f"{escaped(name)}, line {site.line}</text>"
        )
