"""In: a prompt, a model, tools. Out: an answer, by turns and calls that are steps of the run like any others.

**Invariant:** what a body here does follows from what its steps gave it. It records nothing by itself and reads no
clock, no disk and no network; its actions do.
"""
