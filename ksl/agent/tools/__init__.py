"""The tool sets that an agent's definition asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ksl.agent.tool_set import ToolSet

if TYPE_CHECKING:
    from ksl.define.agent import Agent


def tool_sets(agent: Agent, *, folder: Path) -> list[ToolSet]:
    """`folder` is the project's. Nothing is read or started."""
    from ksl.agent.tools.files import FileTools
    from ksl.agent.tools.memory import MemoryTools
    from ksl.agent.tools.shell import ShellTools
    from ksl.agent.tools.skills import SkillTools
    from ksl.define.sandbox import Sandbox

    sets: list[ToolSet] = []
    if isinstance(agent.sandbox, Sandbox):
        sets.append(FileTools(agent.sandbox))
        if agent.sandbox.shell:
            sets.append(ShellTools(agent.sandbox))
    if agent.skills:
        sets.append(SkillTools(agent.skills))
    if agent.memory:
        sets.append(MemoryTools())
    return sets


def check_tool_sets(agent: Agent, *, folder: Path) -> None:
    """What can be known of them without a run. Errors: MalformedDefinition."""
    from ksl.agent.tools.skills import read_skills

    read_skills(agent.skills, folder, where=agent.where)
