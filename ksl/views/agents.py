"""Agents and their sessions, as they are shown to an authenticated user."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ksl.agent.message import OUTPUT_TOOL
from ksl.agent.transcript import Transcript, transcript
from ksl.define.agent import Agent, ApprovedTool, tool_slug
from ksl.define.tool_source import ToolSource
from ksl.errors import BadRequest, UnknownAgent, UnknownSession
from ksl.log.store import Store
from ksl.records import FINISHED
from ksl.records.model_use import NO_USE, ModelUse
from ksl.records.session import PromptRow
from ksl.views.model_use import use_json
from ksl.views.times import rfc3339
from ksl.views.values import JsonObject

if TYPE_CHECKING:
    from ksl.build.discover import Project

PAGE = 100


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


async def sessions_json(
    store: Store, *, agent: str | None = None, cursor: str | None = None, limit: int = PAGE
) -> JsonObject:
    """`{"sessions": [...], "next_cursor"}`, those with the newest prompts first. Errors: BadRequest."""
    if cursor is not None and not cursor.isdigit():
        raise BadRequest("cursor: it is what an earlier answer gave as next_cursor.")
    before = None if cursor is None else int(cursor)
    rows = await store.sessions.newest(agent=agent, before=before, limit=limit + 1)
    page = rows[:limit]
    return {
        "sessions": [
            {
                "session_id": row.session_id,
                "agent": row.agent,
                "parent": row.parent,
                "run_id": row.run_id,
                "step": f"step:{row.step}",
                "prompted_at": rfc3339(row.at_ms),
            }
            for row in page
        ],
        "next_cursor": str(page[-1].id) if len(rows) > limit else None,
    }


async def session_json(store: Store, session_id: str) -> JsonObject:
    """A session with all its prompts: what was said, what tools did, what it used. Errors: UnknownSession."""
    rows = await store.sessions.prompts(session_id)
    if not rows:
        raise UnknownSession(
            f'there is no session "{session_id}", or its runs were deleted by retention. `ksl sessions list` shows '
            "the sessions there are."
        )
    prompts = [await _prompt(store, row) for row in rows]
    total = NO_USE
    for _, use in prompts:
        total = total.plus(use)
    return {
        "session_id": session_id,
        "agent": rows[0].agent,
        "parent": rows[0].parent,
        "usage": use_json(total),
        "prompts": [shown for shown, _ in prompts],
    }


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
    bare = tool.tool if isinstance(tool, ApprovedTool) else tool
    return repr(bare) if isinstance(bare, ToolSource) else tool_slug(bare)


async def _prompt(store: Store, row: PromptRow) -> tuple[JsonObject, ModelUse]:
    said = transcript(await store.events(row.run_id), row.step, summed_up=False)
    status = said.status
    if status == "running":
        run = await store.run(row.run_id)
        if run is not None and run.status in FINISHED:
            status = run.status.value
    shown: JsonObject = {
        "run_id": row.run_id,
        "step": f"step:{row.step}",
        "at": rfc3339(row.at_ms),
        "status": status,
        "error": said.error and {key: said.error.get(key) for key in ("type", "message")},
        "usage": use_json(said.use),
        "messages": list(_messages(said)),
    }
    return shown, said.use


def _messages(said: Transcript) -> list[JsonObject]:
    """In the order in which they were said: `{"role": "user" | "assistant" | "call" | "result", ...}`."""
    shown: list[JsonObject] = []
    for message in said.messages:
        for part in message["parts"]:
            match part.get("part_kind"):
                case "user-prompt":
                    shown.append({"role": "user", "text": part["content"]})
                case "text" if part["content"]:
                    shown.append({"role": "assistant", "text": part["content"]})
                case "tool-call" if part["tool_name"] == OUTPUT_TOOL:
                    shown.append({"role": "assistant", "output": part.get("args")})
                case "tool-call":
                    call = {
                        "tool": part["tool_name"],
                        "id": part.get("tool_call_id"),
                        "arguments": part.get("args"),
                    }
                    shown.append({"role": "call", **call})
                case "tool-return":
                    result = {
                        "tool": part["tool_name"],
                        "id": part["tool_call_id"],
                        "result": part["content"],
                    }
                    shown.append({"role": "result", **result})
                case _:
                    pass
    return shown
