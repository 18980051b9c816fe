"""What every model does: one turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from ksl.agent.tool_set import ToolSpec
from ksl.records.model_use import ModelUse

Json = dict[str, Any]


class Question(msgspec.Struct, frozen=True):
    """A conversation as far as it has come. `output` is the JSON Schema that the answer is to fit, None for text."""

    messages: Sequence[Json]
    instructions: str = ""
    tools: Sequence[ToolSpec] = ()
    output: Json | None = None
    wrapped: bool = False  # the answer proper is the field "response" of what is asked for
    told: Callable[[str], None] | None = None  # gets text as it comes, to be shown


class Reply(msgspec.Struct, frozen=True):
    """What the model says, and what that used. This is what is recorded of a turn."""

    parts: list[Json]
    use: ModelUse


class Model(Protocol):
    async def turn(self, question: Question) -> Reply:
        """Errors: ModelRefused, ModelUnavailable, RetryLater."""
        ...

    async def close(self) -> None:
        """Lets go of its connections."""
        ...
