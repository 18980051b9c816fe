"""Tools that come together: the files of a sandbox, an agent's memory, an MCP server.

What a set offers is asked once for each prompt, in a recorded step. From then on the list stands, whatever is written
in an answer or changes in the world. Each call of a tool is a recorded step of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ksl.define.action import Effect

if TYPE_CHECKING:
    from ksl.define.agent import Agent
    from ksl.define.credential import Credential, Credentials

Json = dict[str, Any]


class ToolError(Exception):
    """What went wrong, for the model to read; the prompt goes on. Other exceptions are told to it too, by type and
    message."""


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as the model sees it. `schema` is the JSON Schema of its arguments, an object."""

    name: str
    description: str
    schema: Json
    own: str = ""  # its name in its set, where the model sees another one
    # After a crash in the middle of a call: "at_least_once" makes it again with the same idempotency key,
    # "at_most_once" tells the model that it may have happened.
    effect: Effect = "at_least_once"


class Offer(msgspec.Struct, frozen=True):
    tools: list[ToolSpec]
    instructions: str = ""  # added to the system prompt


class Secrets(Protocol):
    """What a tool set may have of the vault, in one attempt."""

    async def credentials(self, wanted: Sequence[Credential[Any]]) -> Credentials:
        """As an action is given those that it names; the use is recorded with the attempt.

        Errors: MissingCredential, and those of the vault.
        """
        ...

    def learn(self, name: str, secret: str) -> None:
        """The text is masked wherever it would be recorded or shown, as a secret of `name`."""
        ...


class ToolContext(msgspec.Struct, frozen=True):
    """What a tool set may know of the call. Outside a run `run_id` is empty."""

    agent: str  # slug
    session_id: str
    run_id: str
    step_id: str
    idempotency_key: str  # equal on every attempt of the call
    folder: Path  # of the project
    workspaces_root: Path
    secrets: Secrets
    log: Any = None


class ToolSet(Protocol):
    name: str  # a slug; unique within an agent

    @property
    def names(self) -> Collection[str]:
        """Of its tools, as far as they are known before it is asked."""
        ...

    async def offer(self, context: ToolContext) -> Offer: ...

    async def call(self, tool: str, arguments: Json, context: ToolContext) -> Any:
        """`tool`: by its name in the set. A JSON value. Errors: ToolError."""
        ...

    async def close(self) -> None:
        """The server stops: connections and processes end."""
        ...


class MakeToolSets(Protocol):
    """`ksl.agent.tools.tool_sets`: those of an agent, in the order of its definition. Called once for each agent and
    server; it does nothing that takes time."""

    def __call__(self, agent: Agent, *, folder: Path) -> list[ToolSet]: ...
