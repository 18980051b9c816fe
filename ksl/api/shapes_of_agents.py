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
    status: str = Field(
        description="Of the newest prompt: running, waiting, held, completed, failed or cancelled"
    )
    prompts: int
    usage: UseShape
    started_at: datetime
    prompted_at: datetime


class SessionsShape(BaseModel):
    sessions: list[SessionLineShape]
    next_cursor: str | None


class TurnShape(BaseModel):
    step: str
    usage: UseShape
    started_at: datetime | None
    finished_at: datetime | None


class PromptShape(BaseModel):
    run_id: str
    step: str
    at: datetime
    status: str = Field(description="running, waiting, held, completed, failed or cancelled")
    error: dict[str, Json] | None
    usage: UseShape
    turns: list[TurnShape]
    messages: list[dict[str, Json]] = Field(
        description="`role` is user, assistant, call or result; `turn` the place of its turn in `turns`"
    )


class SessionShape(BaseModel):
    session_id: str
    agent: str
    parent: str | None
    status: str = Field(description="Of the newest prompt")
    usage: UseShape
    prompts: list[PromptShape]
