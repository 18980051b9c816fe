"""The tool sets that an agent's definition asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ksl.agent.tool_set import ToolSet
from ksl.errors import MalformedDefinition

if TYPE_CHECKING:
    from ksl.define.agent import Agent


def tool_sets(agent: Agent, *, folder: Path) -> list[ToolSet]:
    """`folder` is the project's. Nothing is read or started."""
    from ksl.agent.tools.files import FileTools
    from ksl.agent.tools.mcp_server import McpTools
    from ksl.agent.tools.memory import MemoryTools
    from ksl.agent.tools.shell import ShellTools
    from ksl.agent.tools.skills import SkillTools
    from ksl.define.mcp import McpServer
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
    sets += [McpTools(tool) for tool in agent.tools if isinstance(tool, McpServer)]
    return sets


def check_tool_sets(agent: Agent, *, folder: Path) -> None:
    """What can be known of them without a run. Errors: MalformedDefinition, ExtraMissing."""
    from ksl.agent.tools.mcp_server import require_extra
    from ksl.agent.tools.skills import read_skills
    from ksl.define.agent import bare_tool, tool_slug
    from ksl.define.mcp import McpServer

    read_skills(agent.skills, folder, where=agent.where)
    servers = [tool for tool in agent.tools if isinstance(tool, McpServer)]
    for server in servers:
        require_extra(server)
    names = ["files", "shell", "skills", "memory", *(server.name for server in servers)]
    for name in names:
        if names.count(name) > 1:
            raise MalformedDefinition(
                f"{agent.where} has two sets of tools of the name {name!r}. Give one mcp(name=...)."
            )
    own = {tool_slug(bare_tool(tool)) for tool in agent.tools if not isinstance(tool, McpServer)}
    for tool_set in tool_sets(agent, folder=folder):
        for name in own.intersection(tool_set.names):
            raise MalformedDefinition(
                f"{agent.where} has two tools of the name {name!r}: one of tools=[...], and one of its "
                f"{tool_set.name}. Give the first another slug."
            )
