"""A step in flight, as the process that runs it knows it: the log learns of it when it ends."""

from __future__ import annotations

from typing import Literal

import msgspec


class UnderWay(msgspec.Struct, frozen=True):
    """`how`: "in line" waits for a slot, or for its action's limits; "asleep" is a sleep."""

    how: Literal["running", "in line", "asleep"]
    kind: str  # action, workflow, sleep
    callee: str  # slug
    attempt: int  # the one under way, from 1; 0 for what is not tried
    started_at_ms: int | None  # of that attempt
    input: bytes | None  # JSON
    after: int = 0  # seq of the newest event that the body had seen when it asked


class AtHand(msgspec.Struct, frozen=True):
    """The same in a list of runs."""

    step: str  # bare id
    attempt: int  # from 1
