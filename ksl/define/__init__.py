"""In: an author's functions and annotations. Out: actions, workflows, contexts and the schemas they carry.

**Invariant:** declaring runs nothing: no loop, no disk, no clock. What a declaration does inside a run it asks
of the seam (`seam.py`), which an engine implements.
"""
