"""What a run is asked to be, beyond its status and its workflow. Each store answers the same terms."""

from __future__ import annotations

from typing import Literal

import msgspec

TermKey = Literal[
    "state",  # a status, or "retrying": a step or the run itself waits for its next attempt
    "id",
    "workflow",
    "trigger",
    "subscriber",
    "version",  # the beginning of the code version
    "until",  # created at or before: Unix milliseconds
    "longer",  # took more than so many milliseconds; an unfinished run has taken the time until now
    "shorter",
    "step",  # has an event of a step of this callee, or with this id
    "error",  # the error that it failed with, or is held for, holds this text
    "text",  # the input, or the run's id, holds this text
]


class RunTerm(msgspec.Struct, frozen=True):
    key: TermKey
    values: tuple[str | int, ...]  # any of them will do
    negated: bool = False
    now_ms: int = 0  # of the question: for "longer" and "shorter"
