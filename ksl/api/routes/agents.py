"""Agents, and what is said in their sessions."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.openapi import body_of, problems
from ksl.api.requests import answer, envelope, idempotency_key, runtime_of
from ksl.api.shapes_of_agents import AgentsShape, PromptedShape, SessionShape, SessionsShape
from ksl.views.agents import agent_of, agents_json
from ksl.views.sessions import PAGE, session_json, sessions_json

router = APIRouter(tags=["agents"])


@router.get("/agents", response_model=AgentsShape, responses=problems())
async def list_agents(request: Request) -> Response:
    return answer(agents_json(runtime_of(request).project))


class _Prompt(msgspec.Struct, forbid_unknown_fields=True):
    message: str
    session: str | None = None


@router.post(
    "/agents/{slug}/prompt",
    status_code=202,
    response_model=PromptedShape,
    responses=problems(400, 404, 409, 413, 415, 422, 503),
    openapi_extra=body_of(
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["message"],
            "properties": {"message": {"type": "string"}, "session": {"type": ["string", "null"]}},
        },
        "What the agent is to do, and the session it goes on with",
    ),
)
async def prompt_agent(request: Request, slug: str) -> Response:
    """202 is sent when the prompt is stored, as a run. Its end is that of the run: `GET /runs/{id}`."""
    runtime = runtime_of(request)
    agent = agent_of(runtime.project, slug)
    asked = await envelope(request, _Prompt)
    runtime.raise_if_overloaded()
    prompted = await runtime.prompt(
        agent, asked.message, session=asked.session, idempotency_key=idempotency_key(request), by="api"
    )
    shown = {"session_id": prompted.session_id, "run_id": prompted.run_id}
    return answer(shown, 202, headers={"Location": f"/runs/{prompted.run_id}"})


@router.get("/sessions", response_model=SessionsShape, responses=problems(400))
async def list_sessions(
    request: Request,
    agent: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = PAGE,
) -> Response:
    """Those with the newest prompts first."""
    return answer(await sessions_json(runtime_of(request).store, agent=agent, cursor=cursor, limit=limit))


@router.get("/sessions/{session_id}", response_model=SessionShape, responses=problems(404))
async def show_session(request: Request, session_id: str) -> Response:
    return answer(await session_json(runtime_of(request).store, session_id))
