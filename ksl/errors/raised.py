"""What an author catches or raises. None of it has a code: the words are the author's own."""

from __future__ import annotations

from typing import Any

__all__ = [
    "FatalError",
    "HookRejected",
    "HookTimeout",
    "RetryLater",
    "StepFailed",
    "StepInterrupted",
]


class StepFailed(Exception):
    """A step of this run failed and its retry policy gave up. Raised at the step's `await`.

    The same failure, with the same text, is raised on every replay. `step_id` is the bare id
    (`charge-card#0`), `type` the name of the exception's class, `attempts` how many were made.
    """

    def __init__(self, message: str, *, type: str, step_id: str, attempts: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.type = type
        self.step_id = step_id
        self.attempts = attempts

    def __str__(self) -> str:
        return f"step {self.step_id} failed: {self.type}: {self.message}"


class StepInterrupted(StepFailed):
    """An `at_most_once` step was under way when the process died; it is not run again."""


class FatalError(Exception):
    """Raise it in an action or a body: no retry of the step or of the run."""


class RetryLater(Exception):
    """Raise it in an action: the next attempt is not made before `after` has passed.

    `after` is a duration: "30s", a number of seconds, or a timedelta.
    """

    def __init__(self, message: str = "", *, after: Any = 0) -> None:
        super().__init__(message)
        self.after = after


class HookTimeout(Exception):
    """Nobody answered the hook within its timeout. Raised at the hook's `await`."""


class HookRejected(Exception):
    """Somebody rejected the hook. `reason` is what they wrote. Raised at the hook's `await`."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
