"""From blocks to pieces: how each kind of block is drawn."""

from __future__ import annotations

from typing import Literal, assert_never

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
    ends,
)
from ksl.build.canvas.layout.medium import Face, FrameKind, Medium
from ksl.build.canvas.layout.pieces import Hang, Piece, box, fan, framed, join, stack
from ksl.build.canvas.layout.shapes import Drawing, Label, Node


def arrange(canvas: Canvas, medium: Medium) -> Drawing:
    return _Arranging(medium).drawing(canvas)


class _Arranging:
    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self._spacing = medium.spacing

    def drawing(self, canvas: Canvas) -> Drawing:
        pieces = [self._ending("start", canvas.workflow), *map(self._piece, canvas.blocks)]
        if pieces[-1].open:
            pieces.append(self._ending("end", ""))
        whole = stack(pieces, self._spacing)
        return Drawing(whole.width, whole.depth, tuple(whole.shapes(whole.left, 0)))

    def _piece(self, block: Block) -> Piece:
        match block:
            case Step() | Wait():
                return _node(block, self._medium.node(block, hidden=False))
            case Terminal():
                piece = _node(block, self._medium.terminal(block, words.terminal_short(block)))
                piece.open = False
                return piece
            case Decision():
                return self._decision(block)
            case Loop():
                return self._loop(block)
            case Parallel():
                return self._parallel(block)
            case Try():
                return self._try(block)
            case Scope():
                return self._framed("scope", block)
            case Helper():
                return self._framed("helper", block)
            case Opaque():
                return self._opaque(block)
            case _:
                assert_never(block)

    def _lane(self, blocks: tuple[Block, ...]) -> Piece:
        return stack([self._piece(block) for block in blocks], self._spacing)

    def _decision(self, block: Decision) -> Piece:
        head = _node(block, self._medium.question(block, words.asked(block)))
        ways = words.ways(block)
        lanes = [self._lane(lane.blocks) for lane in block.lanes]
        index = _beside(block, lanes)
        if index is None:
            faces = [self._medium.label(way) if way else None for way in ways]
            return fan(head, faces, lanes, self._spacing, "flow")
        only = block.lanes[index].blocks[0]
        if isinstance(only, Terminal):
            self._way_out(head, ways[index], only)
        else:
            self._lane_beside(head, ways[index], lanes[index])
        other = lanes[1 - index]
        return stack([head, other], self._spacing) if other.parts else head

    def _way_out(self, head: Piece, way: str, terminal: Terminal) -> None:
        face = self._medium.terminal(terminal, words.terminal_short(terminal))
        at = self._aside(head, way)
        middle = head.height // 2
        head.line("aside", [(head.right, middle), (at, middle)], arrow=True)
        head.put(Node(terminal, at, middle - face.height // 2, face))
        head.reach(0, at + face.width)

    def _lane_beside(self, head: Piece, way: str, lane: Piece) -> None:
        middle = head.height // 2
        label_end = self._aside(head, way)
        axis = max(label_end, self._spacing.aside + lane.left)
        top = head.height + self._spacing.below
        head.line("aside", [(head.right, middle), (axis, middle), (axis, top)], arrow=True)
        head.put(lane, axis, top)
        head.hang = Hang(axis - lane.left, top + lane.depth)

    def _aside(self, head: Piece, way: str) -> int:
        """Puts the label beside the question; returns where there is room after it."""
        label = self._medium.label(way, lines=1)
        at = head.right + self._spacing.stub
        head.put(Label(at, head.height // 2 - label.height // 2, label))
        return at + label.width + self._spacing.stub

    def _loop(self, block: Loop) -> Piece:
        inner = self._lane(block.blocks)
        returns = inner.open and self._spacing.back > 0
        if returns:
            self._lead_back(inner)
        lines = "in" if returns else "through"
        frame = framed("loop", block, inner, self._title("loop", block), self._spacing, lines=lines)
        frame.open = not ends((Loop(block.label, block.blocks, None, block.at),))
        if block.no_break is None:
            return frame
        other = self._lane(block.no_break.blocks)
        broken = not ends((Loop("repeat", block.blocks, None, block.at),))
        if not broken:
            piece = stack([frame, other], self._spacing)
            piece.open = frame.open and other.open
            return piece
        labels = [self._medium.label("no break"), self._medium.label("break")]
        return fan(frame, labels, [other, Piece()], self._spacing, "flow")

    def _lead_back(self, inner: Piece) -> None:
        """From below the last block, at the left, to above the first."""
        room = self._spacing.back
        above = self._spacing.frame_above * 3 // 4
        bottom, left = inner.height + room, inner.left + room
        inner.line(
            "back",
            [(0, inner.height), (0, bottom), (-left, bottom), (-left, -above), (0, -above)],
            arrow=True,
        )
        inner.height = bottom
        inner.left = left

    def _parallel(self, block: Parallel) -> Piece:
        lanes = [self._lane(lane.blocks) for lane in block.lanes]
        labels = [self._medium.label(lane.label) if lane.label else None for lane in block.lanes]
        inner = fan(Piece(), labels, lanes, self._spacing, "fork")
        piece = framed("parallel", block, inner, self._title("parallel", block), self._spacing)
        piece.open = not ends((block,))
        return piece

    def _framed(self, kind: FrameKind, block: Scope | Helper) -> Piece:
        """Whatever ends in it may not end it: a return ends the helper only, and managers may go on after an error."""
        inner = self._lane(block.blocks)
        piece = framed(kind, block, inner, self._title(kind, block), self._spacing)
        piece.open = not ends((block,))
        return piece

    def _try(self, block: Try) -> Piece:
        space = self._spacing
        protected = framed("try", block, self._lane(block.blocks), self._title("try", block), space)
        whole = Piece()
        whole.put(protected)
        lanes = [(0, protected)]
        for lane in block.handlers:
            handler = framed(
                "handler", lane, self._lane(lane.blocks), self._medium.title("handler", lane.label), space
            )
            axis = whole.right + space.error + handler.left
            whole.line(
                "error", [(whole.right, space.error_y), (axis - handler.left, space.error_y)], arrow=True
            )
            whole.put(handler, axis, 0)
            lanes.append((axis, handler))
        whole.height = max(piece.depth for _, piece in lanes)
        whole.open = any(piece.open for _, piece in lanes)
        if block.always is not None:
            return self._with_always(whole, lanes, block.always)
        opened = [(axis, piece.height) for axis, piece in lanes if piece.open]
        if opened == [(0, protected.height)]:
            if protected.height < whole.height:
                whole.hang = Hang(lanes[1][0] - lanes[1][1].left, whole.height)
                whole.height = protected.height
        elif opened:
            join(whole, opened, space, "flow")
        return whole

    def _with_always(self, whole: Piece, lanes: list[tuple[int, Piece]], lane: Lane) -> Piece:
        """Below all that it follows on: every way, and an error that no handler takes, leads straight into it."""
        space = self._spacing
        top = whole.height + space.below
        error_x = whole.right + space.error // 2
        error = [(whole.right, space.error_y), (error_x, space.error_y), (error_x, top)]
        band = framed(
            "finally",
            lane,
            self._lane(lane.blocks),
            self._medium.title("finally", lane.label),
            space,
            least=(whole.left, error_x + space.error // 2),
            lines="through" if whole.open else "in",
        )
        for axis, piece in lanes:
            kind = "flow" if piece.open else "leave"
            whole.line(kind, [(axis, piece.height), (axis, top)], arrow=True)
        whole.line("error", error, arrow=True)
        whole.put(band, 0, top)
        whole.height = top + band.height
        whole.open = whole.open and band.open
        return whole

    def _opaque(self, block: Opaque) -> Piece:
        rows = Piece()
        for step in block.steps:
            face = self._medium.node(step, hidden=True)
            rows.put(Node(step, -(face.width // 2), rows.height, face, hidden=True))
            rows.reach(face.width // 2, face.width - face.width // 2)
            rows.height += face.height
        return framed("opaque", block, rows, self._title("opaque", block), self._spacing, lines="none")

    def _title(self, kind: FrameKind, block: words.Group) -> Face:
        return self._medium.title(kind, words.title(block))

    def _ending(self, of: Literal["start", "end"], text: str) -> Piece:
        piece = _node(of, self._medium.ending(of, text))
        piece.open = of == "start"
        return piece


def _node(of: Step | Wait | Decision | Terminal | Literal["start", "end"], face: Face) -> Piece:
    piece = box(face)
    piece.put(Node(of, -piece.left, 0, face))
    return piece


def _beside(block: Decision, lanes: list[Piece]) -> int | None:
    """The branch that is drawn beside its question, so that the way on stays straight: one that ends.

    It may hold more than the way out where the other branch is empty, and so nothing is put out of order.
    """
    if len(lanes) != 2:
        return None
    for index, other in ((0, 1), (1, 0)):
        blocks = block.lanes[index].blocks
        only_leaves = len(blocks) == 1 and isinstance(blocks[0], Terminal)
        other_leaves = len(block.lanes[other].blocks) == 1 and isinstance(
            block.lanes[other].blocks[0], Terminal
        )
        if (only_leaves and not other_leaves) or (not lanes[index].open and not block.lanes[other].blocks):
            return index
    return None
