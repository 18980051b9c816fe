"""The seam between what an author asks of a model and the room that does the asking, which is loaded when needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from ksl.define.action import Action
    from ksl.define.agent import Agent
    from ksl.define.seam import Inside


class Asked(msgspec.Struct, frozen=True):
    """One prompt of an agent, as it is recorded with the agent's step."""

    message: str
    session: str | None = None
    output: Any = msgspec.UNSET  # the JSON Schema that was asked for


class Mind(Protocol):
    """`ksl.agent` as `ksl.define` sees it."""

    def body(self, agent: Agent, asked: Asked, output: Any) -> Inside:
        """What the agent's step does inside a run. `output` is an annotation, None for text."""
        ...

    async def at_once(self, agent: Agent, asked: Asked, output: Any) -> bytes:
        """The same outside any run, where nothing is recorded. Returns the encoded result."""
        ...

    def llm(self, output: Any) -> Action[..., Any]:
        """The action behind `prompt_llm` with this output annotation, None for text."""
        ...


class _Thinking:
    """Where `ksl` itself puts the way to the room."""

    def __init__(self) -> None:
        self.load: Callable[[], Mind] | None = None

    @property
    def mind(self) -> Mind:
        assert self.load is not None
        return self.load()


thinking = _Thinking()
