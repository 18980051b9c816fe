"""What a body asks to be made durable: the seam below ids, schemas and calls.

`run.Run`, on the log of this machine, is one implementation; another engine would be a second, with the same
workflow files and the same `body.py` above it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ksl.define.seam import HookSpec
    from ksl.engine.call import Call
    from ksl.engine.loop import RunTimer


class Durable(Protocol):
    """One run. Everything is called while the run's loop is drained, and answers by settling calls later."""

    run_id: str
    now_ms: int  # the time of the newest event delivered
    made: dict[str, Call]  # step calls that nothing has waited for
    attempt_was_read: bool  # the body knows which attempt of the run it is, and may act on it

    @property
    def random(self) -> Random:
        """Seeded by the run: the same numbers on every replay."""
        ...

    def ask(self, call: Call) -> None:
        """The step's outcome is wanted: from the record where there is one, else by performing it."""
        ...

    def forget(self, call: Call) -> None:
        """The body cancelled a step that it had asked for."""
        ...

    def settled_inside(self, call: Call, data: bytes | None, error: BaseException | None) -> None:
        """A sub-workflow's body ended: its outcome becomes the outcome of its step."""
        ...

    def hook(self, step: str, spec: HookSpec) -> tuple[str, str]:
        """Creates the hook if the record has none; answers token and URL at once."""
        ...

    def hook_outcome(self, step: str) -> Awaitable[Any]: ...

    def timer_wanted(self, handle: RunTimer, delay_s: float) -> None: ...

    def timer_unwanted(self, handle: RunTimer) -> None: ...
