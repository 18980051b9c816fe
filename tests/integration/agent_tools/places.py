"""Calls of tools as a prompt makes them, over a project in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ksl.agent.tool_set import ToolContext, ToolSet
from ksl.define.credential import Credential, Credentials


class Given:
    """`agent.tool_set.Secrets` that a test gives."""

    def __init__(self, given: Mapping[Any, Any] | None = None) -> None:
        self.given = dict(given or {})
        self.learned: list[tuple[str, str]] = []

    async def credentials(self, wanted: Sequence[Credential[Any]]) -> Credentials:
        return Credentials({each: self.given[each] for each in wanted})

    def learn(self, name: str, secret: str) -> None:
        self.learned.append((name, secret))


def place(
    folder: Path, *, key: str = "key-1", agent: str = "support", secrets: Given | None = None
) -> ToolContext:
    return ToolContext(
        agent=agent,
        session_id="session-1",
        run_id="run-1",
        step_id="step-1",
        idempotency_key=key,
        folder=folder,
        workspaces_root=folder / ".ksl" / "workspaces",
        secrets=secrets or Given(),
    )


class Calls:
    """Calls tools of one set; each call is another one, with a key of its own."""

    def __init__(self, tools: ToolSet, folder: Path, *, agent: str = "support") -> None:
        self.tools = tools
        self.folder = folder
        self._agent = agent
        self._made = 0

    async def __call__(self, tool: str, **arguments: Any) -> Any:
        self._made += 1
        return await self.tools.call(
            tool, arguments, place(self.folder, key=f"key-{self._made}", agent=self._agent)
        )
