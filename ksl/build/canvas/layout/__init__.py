"""In: a canvas and a medium, which knows how large texts are. Out: boxes, frames and lines in their places.

**Invariant:** lanes keep the order of the source, no box lies over another, no line crosses a box; one walk over the
tree, whatever the medium.
"""

from ksl.build.canvas.layout.arrange import arrange
from ksl.build.canvas.layout.medium import Face, FrameKind, Medium, Spacing
from ksl.build.canvas.layout.shapes import Drawing, Edge, Frame, Label, Node, Shape

__all__ = [
    "Drawing",
    "Edge",
    "Face",
    "Frame",
    "FrameKind",
    "Label",
    "Medium",
    "Node",
    "Shape",
    "Spacing",
    "arrange",
]
