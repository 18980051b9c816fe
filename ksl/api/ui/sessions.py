"""Conversations with agents: the list, and one of them with what is said at the moment."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.requests import runtime_of, stopping_of
from ksl.api.ui.forms import ConsoleRoute, own_form
from ksl.api.ui.live import LiveStream, Now
from ksl.api.ui.pages import form_of, found, only, page, part, sections
from ksl.errors import BadRequest, UnknownSession
from ksl.records import FINISHED
from ksl.views.agent_steps import tokens, used
from ksl.views.agents import agent_of
from ksl.views.sessions import session_json, sessions_json
from ksl.views.values import JsonObject

pages = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

LIMIT = 50
PROMPTS = 50  # of one session, the newest; all of them where they are asked for
_PAUSE_S = 0.5


@pages.get("/ui/sessions")
async def list_sessions(request: Request, agent: str | None = None, cursor: str | None = None) -> Response:
    return await page(request, "sessions", **await _listed(request, agent, cursor))


@pages.get("/ui/live/sessions")
async def follow_sessions(request: Request, agent: str | None = None) -> Response:
    runtime = runtime_of(request)

    async def now() -> Now:
        values = await _listed(request, agent, None)
        return Now(await runtime.store.feed_end(), await sections(request, "sessions", **values))

    return LiveStream(
        now,
        in_flight=lambda: None,
        wake=runtime.store.wake_on_commit,
        stopping=stopping_of(request),
        pause_s=_PAUSE_S,
    )


@pages.get("/ui/sessions/{session_id}")
async def show_session(
    request: Request, session_id: str, run: str | None = None, all: bool = False
) -> Response:
    """`run`: of a prompt that has just been stored, whose session may not have begun."""
    return await page(request, "session", **await _shown(request, session_id, run, everything=all))


@pages.get("/ui/live/sessions/{session_id}")
async def follow_session(
    request: Request, session_id: str, run: str | None = None, all: bool = False
) -> Response:
    runtime = runtime_of(request)
    seen: tuple[object, Now] | None = None

    async def now() -> Now:
        """Every commit of whatever run asks for it, and most are about others."""
        nonlocal seen
        prompts = await runtime.store.sessions.prompts(session_id)
        newest = prompts[-1].run_id if prompts else run
        row = None if newest is None else await runtime.store.run(newest)
        state = (len(prompts), row and (row.seq, row.status))
        if seen is None or seen[0] != state:
            values = await _shown(request, session_id, run, everything=all)
            seen = (state, Now(row.seq if row else 0, await sections(request, "session", **values)))
        return seen[1]

    return LiveStream(
        now,
        in_flight=lambda: None,
        wake=runtime.store.wake_on_commit,
        stopping=stopping_of(request),
        listening=runtime.speech.listening(session_id=session_id),
    )


@pages.post("/ui/sessions", dependencies=[Depends(own_form)])
async def prompt(request: Request) -> Response:
    """Prompts an agent in a session, or in a new one."""
    runtime = runtime_of(request)
    pairs = await form_of(request)
    agent = agent_of(runtime.project, only(pairs, "agent"))
    message = only(pairs, "message").strip()
    if not message:
        raise BadRequest("Nothing was written, so nothing was asked.")
    runtime.raise_if_overloaded()
    session = only(pairs, "session") or None
    prompted = await runtime.prompt(agent, message, session=session, by="console")
    return found(request, f"sessions/{part(prompted.session_id)}?run={part(prompted.run_id)}#saying")


async def _listed(request: Request, agent: str | None, cursor: str | None) -> dict[str, Any]:
    runtime = runtime_of(request)
    listed = await sessions_json(runtime.store, agent=agent, cursor=cursor, limit=LIMIT)
    return {
        "sessions": listed["sessions"],
        "next_cursor": listed["next_cursor"],
        "cursor": cursor,
        "agent": agent,
        "agents": sorted(runtime.project.agents),
        "used": used,
    }


async def _shown(
    request: Request, session_id: str, run_id: str | None, *, everything: bool
) -> dict[str, Any]:
    runtime = runtime_of(request)
    begins = False
    try:
        session = await session_json(runtime.store, session_id)
    except UnknownSession:
        row = None if run_id is None else await runtime.store.run(run_id)
        if row is None or row.status in FINISHED:
            raise
        begins, agent = True, row.workflow.rpartition(":")[2]
        session = JsonObject(
            session_id=session_id, agent=agent, parent=None, status="running", usage=None, prompts=[]
        )
    prompts: list[JsonObject] = session["prompts"]
    most = len(prompts) if everything else PROMPTS
    said = [each for each in runtime.speech.of(None) if each.session_id == session_id and each.text]
    return {
        "session": session,
        "begins": begins,
        "run": run_id,
        "everything": everything,
        "earlier": max(len(prompts) - most, 0),
        "prompts": [{**each, "parts": _parts(each)} for each in prompts[-most:]] if prompts else [],
        "said": said,
        "can_prompt": session["agent"] in runtime.project.agents,
        "used": used,
        "tokens": tokens,
    }


def _parts(prompt: JsonObject) -> list[JsonObject]:
    """Its messages, each call with its result, and each last one of a turn with the turn."""
    messages: list[JsonObject] = prompt["messages"]
    results = {each["id"]: each for each in messages if each["role"] == "result"}
    parts = [
        {**each, "answer": results.get(each["id"]) if each["role"] == "call" else None, "of": None}
        for each in messages
        if each["role"] != "result"
    ]
    for place, part_ in enumerate(parts):
        after = parts[place + 1] if place + 1 < len(parts) else {}
        if "turn" in part_ and after.get("turn") != part_["turn"]:
            part_["of"] = prompt["turns"][part_["turn"]]
    return parts
