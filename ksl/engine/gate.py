"""Who of one action may start: so many at once, so many per time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ksl.define.action import Action
from ksl.engine.attempt import Attempt, CallLater, Cancellable
from ksl.engine.host import Clock


class Gate:
    """First come, first served."""

    def __init__(self, action: Action[Any, Any], clock: Clock, call_later: CallLater) -> None:
        self._most = action.concurrency
        self._rate = action.rate
        self._clock = clock
        self._call_later = call_later
        self._inside = 0
        self._waiting: deque[tuple[Attempt, Callable[[Attempt], None]]] = deque()
        self._starts: deque[float] = deque()  # when the newest ones started, steady seconds
        self._timer: Cancellable | None = None

    def enter(self, attempt: Attempt, launch: Callable[[Attempt], None]) -> None:
        self._waiting.append((attempt, launch))
        self._admit()

    def leave(self) -> None:
        self._inside -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and (self._most is None or self._inside < self._most):
            wait_s = self._wait_s()
            if wait_s > 0:
                if self._timer is None:
                    self._timer = self._call_later(wait_s, self._later)
                return
            attempt, launch = self._waiting.popleft()
            if attempt.cancelled:
                continue
            self._inside += 1
            self._starts.append(self._clock.steady_s())
            launch(attempt)

    def _later(self) -> None:
        self._timer = None
        self._admit()

    def _wait_s(self) -> float:
        """How long until the rate allows another start: at most `count` in any `period`."""
        if self._rate is None:
            self._starts.clear()
            return 0.0
        count, period_s = self._rate
        if count < 1:
            count, period_s = 1.0, period_s / count
        now = self._clock.steady_s()
        while self._starts and self._starts[0] <= now - period_s:
            self._starts.popleft()
        return 0.0 if len(self._starts) < int(count) else self._starts[0] + period_s - now
