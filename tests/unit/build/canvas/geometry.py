"""What must be so of every drawing, whatever it is drawn on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations, pairwise

from ksl.build.canvas.blocks import (
    Block,
    Canvas,
    Decision,
    Lane,
    Loop,
    Opaque,
    Parallel,
    Step,
    Terminal,
    Try,
    Wait,
    ends,
    lanes_of,
    walk,
)
from ksl.build.canvas.layout import Drawing, Edge, Frame, Label, Node

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two lie outside


def check(canvas: Canvas, drawing: Drawing) -> None:
    nodes = [shape for shape in drawing.shapes if isinstance(shape, Node)]
    frames = [shape for shape in drawing.shapes if isinstance(shape, Frame)]
    labels = [shape for shape in drawing.shapes if isinstance(shape, Label)]
    edges = [shape for shape in drawing.shapes if isinstance(shape, Edge)]
    every_step_is_drawn_once(canvas, nodes)
    assert not (ends(canvas.blocks) and any(node.of == "end" for node in nodes))
    nothing_lies_outside(drawing, edges, [box(shape) for shape in (*nodes, *frames, *labels)])
    no_two_overlap([*map(box, nodes), *map(box, labels), *map(strip, frames)])
    frames_lie_in_each_other_or_apart([box(frame) for frame in frames])
    what_is_inside_a_block_is_inside_its_frame(frames, nodes)
    no_edge_crosses_a_box(edges, [*map(box, nodes), *map(strip, frames)])
    places = {id(shape.of): box(shape) for shape in (*nodes, *frames)}
    blocks_stand_below_each_other(canvas, places)
    lanes_keep_their_order(canvas, places)


def every_step_is_drawn_once(canvas: Canvas, nodes: list[Node]) -> None:
    drawn = Counter(node.of.id for node in nodes if isinstance(node.of, Step | Wait) and not node.hidden)
    wanted = Counter(block.id for block in walk(canvas.blocks) if isinstance(block, Step | Wait))
    assert drawn == wanted
    hidden = Counter(node.of.id for node in nodes if isinstance(node.of, Step | Wait) and node.hidden)
    opaque = [block for block in walk(canvas.blocks) if isinstance(block, Opaque)]
    assert hidden == Counter(step.id for block in opaque for step in block.steps)


def nothing_lies_outside(drawing: Drawing, edges: list[Edge], boxes: list[Box]) -> None:
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= drawing.width
        assert 0 <= top < bottom <= drawing.height
    for x, y in (point for edge in edges for point in edge.points):
        assert 0 <= x <= drawing.width
        assert 0 <= y <= drawing.height


def no_two_overlap(boxes: list[Box]) -> None:
    for one, other in combinations(boxes, 2):
        assert not overlap(one, other), (one, other)


def frames_lie_in_each_other_or_apart(frames: list[Box]) -> None:
    for one, other in combinations(frames, 2):
        assert not overlap(one, other) or inside(other, one), (one, other)


def what_is_inside_a_block_is_inside_its_frame(frames: list[Frame], nodes: list[Node]) -> None:
    for frame in frames:
        wanted = {
            id(block) for block in contents(frame.of) if isinstance(block, Step | Wait | Terminal | Decision)
        }
        for node in nodes:
            touches = overlap(box(node), box(frame))
            assert not touches or inside(box(node), box(frame)), (box(node), box(frame))
            if not isinstance(node.of, str):
                assert touches == (id(node.of) in wanted), (box(node), box(frame))


def contents(of: Block | Lane) -> Iterator[Block]:
    """All that belongs into a frame. A loop's `else` and a try's handlers have places of their own."""
    match of:
        case Opaque(steps=steps):
            yield from steps
        case Lane(blocks=blocks) | Loop(blocks=blocks) | Try(blocks=blocks):
            yield from with_hidden(blocks)
        case _:
            for lane in lanes_of(of):
                yield from with_hidden(lane.blocks)


def with_hidden(blocks: tuple[Block, ...]) -> Iterator[Block]:
    for block in walk(blocks):
        yield block
        if isinstance(block, Opaque):
            yield from block.steps


def no_edge_crosses_a_box(edges: list[Edge], boxes: list[Box]) -> None:
    for edge in edges:
        for (x, y), (to_x, to_y) in pairwise(edge.points):
            assert (x == to_x) != (y == to_y), edge.points
            line = (min(x, to_x), min(y, to_y), max(x, to_x) + (x == to_x), max(y, to_y) + (y == to_y))
            for each in boxes:
                assert not overlap(line, each), (edge.points, each)


def blocks_stand_below_each_other(canvas: Canvas, places: dict[int, Box]) -> None:
    for sequence in sequences(canvas):
        boxes = [places[id(block)] for block in sequence]
        for above, below in pairwise(boxes):
            assert above[3] <= below[1]


def lanes_keep_their_order(canvas: Canvas, places: dict[int, Box]) -> None:
    """From left to right. A branch that only leaves stands beside the question instead."""
    for block in walk(canvas.blocks):
        match block:
            case Try(handlers=handlers):
                row = [places[id(block)], *(places[id(lane)] for lane in handlers)]
                assert len({each[1] for each in row}) == 1, "their tops are level"
            case Decision(lanes=(one, other)) if is_way_out(one) or is_way_out(other):
                continue
            case Decision(lanes=lanes) | Parallel(lanes=lanes):
                row = [places[id(lane.blocks[0])] for lane in lanes if lane.blocks]
            case _:
                continue
        for one, other in pairwise(row):
            assert one[2] <= other[0], (one, other)


def is_way_out(lane: Lane) -> bool:
    return len(lane.blocks) == 1 and isinstance(lane.blocks[0], Terminal)


def sequences(canvas: Canvas) -> Iterator[tuple[Block, ...]]:
    yield canvas.blocks
    for block in walk(canvas.blocks):
        for lane in lanes_of(block):
            yield lane.blocks


def box(shape: Node | Frame | Label) -> Box:
    if isinstance(shape, Frame):
        return (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)
    return (shape.x, shape.y, shape.x + shape.face.width, shape.y + shape.face.height)


def strip(frame: Frame) -> Box:
    """Where its title stands."""
    return (frame.x, frame.y, frame.x + frame.width, frame.y + frame.face.height)


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def inside(inner: Box, outer: Box) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]
