"""In: histories, definitions, outcomes of the world. Out: events for the log, and steps to perform.

**Invariant:** a body never runs on the host loop and sees nothing but delivered events, in `seq` order; live and
replay are one routine (`run.py`). Only `attempts.py` acts in the world.
"""
