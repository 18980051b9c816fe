"""What a drawing is made of. A box covers [x, x + width) by [y, y + height); y grows downwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ksl.build.canvas.blocks import Block, Decision, Lane, Step, Terminal, Wait
from ksl.build.canvas.layout.medium import Face, FrameKind

EdgeKind = Literal[
    "flow",  # from one block to the next
    "aside",  # from the side of a question to what ends beside it
    "fork",  # to lanes that run side by side, and from them
    "error",  # where an error goes
    "leave",  # a way out that still passes `finally`
    "back",  # to the next round of a loop
]


@dataclass(frozen=True, slots=True)
class Node:
    """`hidden` nodes are the steps of an opaque block: the same step may stand in several of those."""

    of: Step | Wait | Decision | Terminal | Literal["start", "end"]
    x: int
    y: int
    face: Face
    hidden: bool = False

    def moved(self, dx: int, dy: int) -> Node:
        return Node(self.of, self.x + dx, self.y + dy, self.face, self.hidden)


@dataclass(frozen=True, slots=True)
class Frame:
    kind: FrameKind
    of: Block | Lane
    x: int
    y: int
    width: int
    height: int
    face: Face  # of its title

    def moved(self, dx: int, dy: int) -> Frame:
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True, slots=True)
class Edge:
    """A line of horizontal and vertical parts. Its last point is where the box begins that it leads to."""

    kind: EdgeKind
    points: tuple[tuple[int, int], ...]
    arrow: bool = False

    def moved(self, dx: int, dy: int) -> Edge:
        return Edge(self.kind, tuple([(x + dx, y + dy) for x, y in self.points]), self.arrow)


@dataclass(frozen=True, slots=True)
class Label:
    """Says on a line when this way is taken."""

    x: int
    y: int
    face: Face

    def moved(self, dx: int, dy: int) -> Label:
        return Label(self.x + dx, self.y + dy, self.face)


Shape = Node | Frame | Edge | Label


@dataclass(frozen=True, slots=True)
class Drawing:
    """In the order of the source, each frame before what is inside it."""

    width: int
    height: int
    shapes: tuple[Shape, ...]
