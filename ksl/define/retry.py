"""How often something that failed is tried again, and how long to wait between."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from ksl.define.duration import parse_duration


@dataclass(frozen=True)
class Retry:
    """`attempts` counts the first one too. Waits grow from `initial` by `factor` up to `maximum`; jitter
    multiplies each by 0.75 to 1.25. Only exceptions that are instances of `on` are tried again."""

    attempts: int = 3
    initial: str | float | timedelta = "1s"
    factor: float = 2.0
    maximum: str | float | timedelta = "5m"
    jitter: bool = True
    on: tuple[type[BaseException], ...] = (Exception,)
    _initial_s: float = field(init=False, repr=False, compare=False)
    _maximum_s: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.attempts, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"Retry(attempts={self.attempts!r}): it takes a whole number")
        if self.attempts < 1:
            raise ValueError(
                f"Retry(attempts={self.attempts}): at least one attempt is made, so it starts at 1"
            )
        kinds = self.on if isinstance(self.on, tuple) else (self.on,)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not all(isinstance(each, type) and issubclass(each, BaseException) for each in kinds):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"Retry(on={self.on!r}): exceptions are given as classes, like on=(OSError,)")
        if self.factor < 1:
            raise ValueError(f"Retry(factor={self.factor}): waits must not shrink, so it starts at 1.0")
        object.__setattr__(self, "_initial_s", parse_duration(self.initial))
        object.__setattr__(self, "_maximum_s", parse_duration(self.maximum))

    def delay_s(self, attempts_made: int, rng: Random) -> float:
        """Seconds to wait after `attempts_made` failed attempts (at least one)."""
        # The exponent is bounded: 2.0 ** 2000 would raise long after the maximum was reached.
        delay = min(self._initial_s * self.factor ** min(attempts_made - 1, 200), self._maximum_s)
        return delay * rng.uniform(0.75, 1.25) if self.jitter else delay


ONCE = Retry(attempts=1)
