"""In: a workflow's source, its imported module and its site table. Out: the tree of blocks that is drawn.

**Invariant:** every site of the table is drawn, listed in an opaque block, or in `Canvas.unplaced`; no site is lost.
"""

from ksl.build.canvas.blocks import Canvas
from ksl.build.canvas.extract import canvas_of, extract

__all__ = ["Canvas", "canvas_of", "extract"]
