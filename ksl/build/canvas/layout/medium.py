"""What the layout must know of where it is drawn: the room between things, and how large texts are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from ksl.build.canvas.blocks import Decision, Step, Terminal, Wait

FrameKind = Literal["loop", "parallel", "try", "handler", "finally", "scope", "helper", "opaque"]


@dataclass(frozen=True, slots=True)
class Face:
    """A text as it is shown, and the box that holds it. `full` is all that there would be to say."""

    width: int
    height: int
    lines: tuple[str, ...]
    full: str


@dataclass(frozen=True, slots=True)
class Spacing:
    """In pixels or in character cells. A line along a row or column of cells takes up that row or column."""

    side: int  # between lanes
    below: int  # between a block and the next
    stub: int  # from a question to the way out beside it
    aside: int  # from the axis to a lane beside it, so that what follows finds room on the axis
    error: int  # between a frame and the handler beside it, for the arrow
    error_y: int  # where that arrow is, from the top of the frame
    split: int  # from the bottom of a question to the line that leads to its lanes
    label_above: int  # from that line to the label
    label_below: int  # from the label to the lane
    split_below: int  # from that line to lanes without labels
    join: int  # from the lowest lane to the line that leads out of them
    after_join: int
    frame_side: int  # from a frame's edge to what is inside
    frame_top: int  # its title's strip
    frame_above: int  # from there to the first block
    frame_below: int  # from the last block to the bottom edge
    border: int  # how thick an edge is
    empty: int  # height of a lane with nothing in it
    back: int  # room at the left of a loop for the line back; 0: none is drawn
    snap: int  # a lane this near to the middle is taken for the middle


class Medium(Protocol):
    @property
    def spacing(self) -> Spacing: ...
    def ending(self, of: Literal["start", "end"], text: str) -> Face: ...
    def node(self, block: Step | Wait, *, hidden: bool) -> Face: ...
    def question(self, block: Decision, text: str) -> Face: ...
    def terminal(self, block: Terminal, text: str) -> Face: ...
    def label(self, text: str, *, lines: Literal[1, 2] = 2) -> Face: ...
    def title(self, kind: FrameKind, text: str) -> Face: ...
