"""The tool sets that an agent's definition asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ksl.agent.tool_set import ToolSet

if TYPE_CHECKING:
    from ksl.define.agent import Agent


def tool_sets(agent: Agent, *, folder: Path) -> list[ToolSet]:
    """`folder` is the project's. Errors: MalformedDefinition."""
    from ksl.agent.tools.files import FileTools
    from ksl.agent.tools.shell import ShellTools
    from ksl.define.sandbox import Sandbox

    sets: list[ToolSet] = []
    if isinstance(agent.sandbox, Sandbox):
        sets.append(FileTools(agent.sandbox))
        if agent.sandbox.shell:
            sets.append(ShellTools(agent.sandbox))
    return sets
