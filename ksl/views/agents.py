"""Agents, as they are shown to an authenticated user."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ksl.define.agent import Agent, bare_tool, tool_slug
from ksl.define.tool_source import ToolSource
from ksl.errors import UnknownAgent
from ksl.views.values import JsonObject

if TYPE_CHECKING:
    from ksl.build.discover import Project


def agents_json(project: Project) -> JsonObject:
    """`{"agents": [...]}` by slug."""
    return {"agents": [_agent(project.agents[slug]) for slug in sorted(project.agents)]}


def agent_of(project: Project, slug: str) -> Agent:
    """Errors: UnknownAgent naming those there are."""
    agent = project.agents.get(slug)
    if agent is None:
        known = sorted(project.agents)
        near = get_close_matches(slug, known, n=1)
        meant = f' Is "{near[0]}" meant?' if near else ""
        there = f"The agents are: {', '.join(known[:20])}." if known else "This project defines none."
        raise UnknownAgent(f'there is no agent "{slug}".{meant} {there} Nothing was done.')
    return agent


def _agent(agent: Any) -> JsonObject:
    if not isinstance(agent, Agent):  # told by its source alone
        return {"slug": agent.slug}
    return {
        "slug": agent.slug,
        "name": agent.name,
        "description": agent.description,
        "model": agent.model,
        "tools": [_tool(tool) for tool in agent.tools],
        "max_steps": agent.max_steps,
    }


def _tool(tool: Any) -> str:
    bare = bare_tool(tool)
    return repr(bare) if isinstance(bare, ToolSource) else tool_slug(bare)
