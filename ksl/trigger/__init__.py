"""In: deliveries, ticks and what polls found. Out: firings, each with the runs it starts.

**Invariant:** a source is evaluated once per firing, and a firing is stored whole with its runs or not at all.
"""
