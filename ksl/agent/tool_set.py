"""Tools that come together: the files of a sandbox, an agent's memory, an MCP server.

What a set offers is asked once for each prompt, in a recorded step. From then on the list stands, whatever is written
in an answer or changes in the world. Each call of a tool is a recorded step of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from ksl.define.agent import Agent

Json = dict[str, Any]


class ToolError(Exception):
    """What went wrong, for the model to read; the prompt goes on. Other exceptions are told to it too, by type and
    message, and an attempt that the process' end cut off is made again with the same idempotency key."""


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as the model sees it. `schema` is the JSON Schema of its arguments, an object."""

    name: str
    description: str
    schema: Json


class Offer(msgspec.Struct, frozen=True):
    tools: list[ToolSpec]
    instructions: str = ""  # added to the system prompt


class ToolContext(msgspec.Struct, frozen=True):
    """What a tool set may know of the call. Outside a run `run_id` is empty."""

    agent: str  # slug
    session_id: str
    run_id: str
    step_id: str
    idempotency_key: str  # equal on every attempt of the call
    folder: Path  # of the project
    workspaces_root: Path
    log: Any = None


class ToolSet(Protocol):
    name: str  # a slug; unique within an agent

    async def offer(self, context: ToolContext) -> Offer: ...

    async def call(self, tool: str, arguments: Json, context: ToolContext) -> Any:
        """A JSON value. Errors: ToolError."""
        ...

    async def close(self) -> None:
        """The server stops: connections and processes end."""
        ...


class MakeToolSets(Protocol):
    """`ksl.agent.tools.tool_sets`: those of an agent, in the order of its definition. Called once for each agent and
    server; it does nothing that takes time."""

    def __call__(self, agent: Agent, *, folder: Path) -> list[ToolSet]: ...
