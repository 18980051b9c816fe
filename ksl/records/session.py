"""One prompt of an agent's session."""

from __future__ import annotations

import msgspec


class PromptRow(msgspec.Struct, frozen=True):
    session_id: str
    agent: str
    run_id: str
    step: str  # of the agent
    parent: str | None  # the session of the agent that this one is a tool of
    at_ms: int
    id: int = 0  # grows with each prompt
