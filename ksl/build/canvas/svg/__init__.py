"""In: a canvas. Out: one SVG of its own layout, as a file or for a page to inline.

**Invariant:** everything that an author wrote is escaped; no script, no font and no address is referred to.
"""

from ksl.build.canvas.svg.painting import stylesheet, svg

__all__ = ["stylesheet", "svg"]
