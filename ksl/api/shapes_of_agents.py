"""The shapes of answers about agents, for /openapi.json alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

Json = Any


class AgentShape(BaseModel):
    slug: str
    name: str
    description: str
    model: str | None = Field(description="Null: models.default")
    tools: list[str]
    max_steps: int


class AgentsShape(BaseModel):
    agents: list[AgentShape]


class PromptedShape(BaseModel):
    session_id: str
    run_id: str


class UseShape(BaseModel):
    model: str | None
    turns: int
    input_tokens: int
    output_tokens: int
    usd: float | None = Field(description="Null where no price is known")


class SessionLineShape(BaseModel):
    session_id: str
    agent: str
    parent: str | None = Field(description="The session of the agent that this one is a tool of")
    run_id: str = Field(description="Of the newest prompt")
    step: str
    prompted_at: datetime


class SessionsShape(BaseModel):
    sessions: list[SessionLineShape]
    next_cursor: str | None


class PromptShape(BaseModel):
    run_id: str
    step: str
    at: datetime
    status: str = Field(description="running, completed, failed or cancelled")
    error: dict[str, Json] | None
    usage: UseShape
    messages: list[dict[str, Json]] = Field(description="`role` is user, assistant, call or result")


class SessionShape(BaseModel):
    session_id: str
    agent: str
    parent: str | None
    usage: UseShape
    prompts: list[PromptShape]
