"""A model's text while it comes, told to whoever watches. It is kept in memory and never stored."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ksl.agent.services import Services
    from ksl.define.action import ActionContext


class Telling(Protocol):
    """One attempt at a turn."""

    def add(self, piece: str) -> None: ...


@contextmanager
def told_by(
    services: Services, context: ActionContext, *, session_id: str | None, streams: bool
) -> Generator[Callable[[str], None] | None]:
    """What takes the pieces of a turn. None where nobody could watch: outside a run."""
    if not streams or not context.run_id:
        yield None
        return
    telling = services.telling(context.run_id, context.step_id, session_id, context.attempt)
    with telling as utterance:
        yield utterance.add
