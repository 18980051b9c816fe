"""What is to be tried again, and when."""

from __future__ import annotations

import msgspec


class Retrying(msgspec.Struct, frozen=True):
    """Of a run's next attempts, the soonest."""

    step: str | None  # bare id; None: the run itself
    attempt: int  # the one to come, from 1; 0: unknown
    attempts: int  # with that one the last; 0: unknown
    next_attempt_at_ms: int
