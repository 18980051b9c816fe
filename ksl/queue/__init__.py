"""In: runs that are wanted, moments that are waited for. Out: who may advance now, which timers are due.

**Invariant:** the queue never looks inside a run. Losing a wake-up costs time only: the log says what is wanted.
"""
