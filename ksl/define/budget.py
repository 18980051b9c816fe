"""Bounds on what models may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ksl.errors import MalformedDefinition

OnExceeded = Literal["raise", "hold"]


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so many tokens (read and written together), US dollars, and turns. None bounds nothing.

    On an agent it bounds one prompt, with what the agents below it use; on a workflow one run. What is recorded
    counts, once, so restarts and retries change nothing. At the bound no further request is made: the step fails
    with `BudgetExceeded`, or with `on_exceeded="hold"` the run is held, and a person who releases it grants the
    same amount again. A model without a known price adds nothing to `usd`.
    """

    tokens: int | None = None
    usd: float | None = None
    turns: int | None = None
    on_exceeded: OnExceeded = "raise"

    def __post_init__(self) -> None:
        bounds = (self.tokens, self.usd, self.turns)
        if all(bound is None for bound in bounds):
            raise MalformedDefinition("Budget() bounds nothing: give tokens, usd or turns.")
        if any(bound is not None and not bound > 0 for bound in bounds):
            raise MalformedDefinition(f"{self}: each bound is a number above 0.")
        if self.on_exceeded not in ("raise", "hold"):
            raise MalformedDefinition(f'{self}: on_exceeded is "raise" or "hold".')
