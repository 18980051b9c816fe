"""The algebra of the layout: pieces are put below, beside and into each other, and only at the end get coordinates.

A piece is placed by the point at which the way enters it: x counts from this *axis*, y from its top.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ksl.build.canvas.blocks import Block, Lane
from ksl.build.canvas.layout.medium import Face, FrameKind, Spacing
from ksl.build.canvas.layout.shapes import Edge, EdgeKind, Frame, Label, Shape


@dataclass(frozen=True, slots=True)
class Hang:
    """Something beside the axis that reaches further down than the place where the way goes on."""

    x: int  # nothing left of this is taken
    y: int


@dataclass(slots=True)
class Piece:
    left: int = 0
    right: int = 1  # from the axis on, so that the width is left + right
    height: int = 0  # where the way leaves on the axis, if it does
    open: bool = True
    hang: Hang | None = None
    neck: tuple[int, int] | None = None  # above y it reaches no further right than x
    parts: list[tuple[int, int, Piece | Shape]] = field(
        default_factory=list["tuple[int, int, Piece | Shape]"]
    )

    @property
    def depth(self) -> int:
        return max(self.height, self.hang.y if self.hang is not None else 0)

    @property
    def width(self) -> int:
        return self.left + self.right

    def put(self, part: Piece | Shape, dx: int = 0, dy: int = 0) -> None:
        self.parts.append((dx, dy, part))
        if isinstance(part, Piece):
            self.reach(part.left - dx, part.right + dx)

    def reach(self, left: int, right: int) -> None:
        self.left = max(self.left, left)
        self.right = max(self.right, right)

    def line(self, kind: EdgeKind, points: Iterable[tuple[int, int]], *, arrow: bool = False) -> None:
        """Lines of no length are none."""
        kept: list[tuple[int, int]] = []
        for point in points:
            if not kept or point != kept[-1]:
                kept.append(point)
        if len(kept) > 1:
            self.put(Edge(kind, tuple(kept), arrow))

    def shapes(self, x: int, y: int) -> Iterator[Shape]:
        for dx, dy, part in self.parts:
            if isinstance(part, Piece):
                yield from part.shapes(x + dx, y + dy)
            else:
                yield part.moved(x + dx, y + dy)


def box(face: Face) -> Piece:
    """Room for a text, with the axis through its middle."""
    left = face.width // 2
    return Piece(left=left, right=face.width - left, height=face.height)


def stack(pieces: Sequence[Piece], spacing: Spacing, *, gap: int | None = None) -> Piece:
    """One below the other, joined by lines. What fits goes on beside what hangs."""
    gap = spacing.below if gap is None else gap
    whole = Piece(height=0)
    hang: Hang | None = None
    for index, piece in enumerate(pieces):
        top = whole.height
        if index:
            top += gap
            if hang is not None:
                top = max(top, _clear_of(hang, piece, spacing, gap))
            whole.line("flow", [(0, whole.height), (0, top)], arrow=bool(piece.parts))
        whole.put(piece, 0, top)
        whole.height = top + piece.height
        if piece.hang is not None:
            x = piece.hang.x if hang is None else min(hang.x, piece.hang.x)
            hang = Hang(x, max(top + piece.hang.y, hang.y if hang is not None else 0))
        if hang is not None and hang.y <= whole.height:
            hang = None
        whole.open = piece.open
    whole.hang = hang
    return whole


def _clear_of(hang: Hang, piece: Piece, spacing: Spacing, gap: int) -> int:
    """How far down a piece has to be put for what hangs there."""
    if piece.right + spacing.side <= hang.x:
        return 0
    if piece.neck is None or piece.neck[0] + spacing.side > hang.x:
        return hang.y + gap
    return hang.y + gap - piece.neck[1]


def beside(lanes: Sequence[Piece], gap: int) -> list[int]:
    """The axis of each lane, from left to right, the left edge of the first being 0."""
    axes: list[int] = []
    edge = 0
    for lane in lanes:
        axes.append(edge + lane.left)
        edge += lane.width + gap
    return axes


def fan(
    head: Piece, labels: Sequence[Face | None], lanes: Sequence[Piece], spacing: Spacing, kind: EdgeKind
) -> Piece:
    """Several ways out of `head`, and one way on from those that do not end."""
    for lane, label in zip(lanes, labels, strict=True):
        if label is not None:
            lane.reach(label.width // 2, label.width - label.width // 2)
    axes = _around_axis(lanes, spacing)
    whole = Piece(open=any(lane.open for lane in lanes))
    whole.put(head)
    whole.neck = (head.right, head.depth)
    rail = head.depth + (spacing.split if len(lanes) > 1 else 0)
    tall = max((label.height for label in labels if label is not None), default=0)
    top = rail + (spacing.label_above + tall + spacing.label_below if tall else spacing.split_below)
    for axis, lane, label in zip(axes, lanes, labels, strict=True):
        whole.line(kind, [(0, head.height), (0, rail), (axis, rail), (axis, top)], arrow=bool(lane.parts))
        whole.put(lane, axis, top)
        if label is not None:
            # Labels of one line stand level with the last line of longer ones: near to their lanes.
            y = rail + spacing.label_above + tall - label.height
            whole.put(Label(axis - label.width // 2, y, label))
    bottom = max(top + lane.depth for lane in lanes)
    whole.height = bottom
    opened = [(axis, lane) for axis, lane in zip(axes, lanes, strict=True) if lane.open]
    if len(opened) == 1:
        _go_on(whole, opened[0][1], top, list(zip(axes, lanes, strict=True)))
    elif opened:
        join(whole, [(axis, top + lane.height) for axis, lane in opened], spacing, kind)
    return whole


def join(whole: Piece, exits: Sequence[tuple[int, int]], spacing: Spacing, kind: EdgeKind) -> None:
    """Leads these exits back to the axis, below everything that there is so far."""
    rail = whole.height + spacing.join
    whole.height = rail + spacing.after_join
    for x, y in exits:
        whole.line(kind, [(x, y), (x, rail), (0, rail), (0, whole.height)])


def _go_on(whole: Piece, only: Piece, top: int, lanes: list[tuple[int, Piece]]) -> None:
    """The way goes on in the only open lane, on the axis. What ends right of it is passed by, if all ends there."""
    at = top + only.height
    if any(axis < 0 for axis, _ in lanes):
        whole.line("flow", [(0, at), (0, whole.height)])
    elif at < whole.height:
        edges = [axis - lane.left for axis, lane in lanes if axis > 0]
        if only.hang is not None:
            edges.append(only.hang.x)
        whole.hang = Hang(min(edges), whole.height)
        whole.height = at


def _around_axis(lanes: Sequence[Piece], spacing: Spacing) -> list[int]:
    """Where the lanes go so that the way on is as straight as can be."""
    axes = beside(lanes, spacing.side)
    opened = [axis for axis, lane in zip(axes, lanes, strict=True) if lane.open]
    middle = (axes[0] + axes[-1]) // 2
    if len(opened) == 1:
        middle = opened[0]
    elif len(lanes) == 2 and not lanes[1].parts:
        middle = axes[0]  # past it at the right
    else:
        middle = next((axis for axis in axes if abs(axis - middle) <= spacing.snap), middle)
    return [axis - middle for axis in axes]


def framed(
    kind: FrameKind,
    of: Block | Lane,
    inner: Piece,
    title: Face,
    spacing: Spacing,
    *,
    least: tuple[int, int] = (0, 0),
    lines: Literal["through", "in", "none"] = "through",
) -> Piece:
    """`inner` in a frame that reaches at least so far left and right. `lines` says which ones join them."""
    pad = spacing.frame_side
    whole = Piece(
        left=max(inner.left + pad, least[0]), right=max(inner.right + pad, least[1]), open=inner.open
    )
    missing = title.width - whole.width
    if missing > 0:
        whole.reach(whole.left + missing // 2, whole.right + missing - missing // 2)
    top = spacing.frame_top + spacing.frame_above
    whole.height = top + max(inner.depth, spacing.empty) + spacing.frame_below
    whole.put(Frame(kind, of, -whole.left, 0, whole.width, whole.height, title))
    way: EdgeKind = "fork" if kind == "parallel" else "flow"
    if lines != "none":
        arrow = bool(inner.parts) and kind != "parallel"
        whole.line(way, [(0, spacing.frame_top), (0, top)], arrow=arrow)
    whole.put(inner, 0, top)
    if inner.open and lines == "through":
        whole.line(way, [(0, top + inner.height), (0, whole.height - spacing.border)])
    return whole
