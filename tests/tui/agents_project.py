"""Agents for the screens of sessions: one led by a script, and one by a server on loopback where a test has one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.api.serving import Served

AGENTS = '''
from ksl import Agent, action, requires_approval, workflow


@action
async def lookup_order(order: str) -> dict[str, str]:
    """The state of an order."""
    return {"order": order, "state": "shipped on Monday"}


@action
async def refund(order: str) -> str:
    """Gives the money back."""
    return f"{order}: refunded"


support = Agent(
    "support", model="test/script/agents/support.json", tools=[lookup_order], memory=False, description="Answers."
)
careful = Agent(
    "careful", model="test/script/agents/careful.json", tools=[requires_approval(refund)], memory=False
)
echo = Agent("echo", model="test/echo", memory=False)
robot = Agent("robot", model="local/small", memory=False)


@workflow(slug="ask-support", description="Asks the agent.")
async def ask_support(input: str) -> str:
    return (await support.prompt(input)).text
'''
CALL = {"text": "Let me look.", "calls": [{"name": "lookup-order", "args": {"order": "A-1001"}}]}
ANSWER = {
    "text": "It was shipped on Monday.",
    "usage": {"input_tokens": 1200, "output_tokens": 300, "usd": 0.0123},
}


def write(folder: Path, *, settings: str = "", turns: list[Any] | None = None) -> Path:
    (folder / "ksl.toml").write_text(
        f'[project]\nname = "shop"\n[store]\ndurability = "process"\n[server]\nport = 0\n{settings}'
    )
    (folder / "agents").mkdir(exist_ok=True)
    (folder / "agents" / "desk.py").write_text(AGENTS.lstrip())
    (folder / "agents" / "support.json").write_text(json.dumps(turns or [CALL, ANSWER]))
    careful = [{"calls": [{"name": "refund", "args": {"order": "A-1001"}}]}, "It is done."]
    (folder / "agents" / "careful.json").write_text(json.dumps(careful))
    return folder


async def prompted(
    served: Served, agent: str = "support", message: str = "Where is A-1001?", **more: Any
) -> Any:
    """The ids of the session and of the run, when it has ended or waits."""
    answer = await served.client.post(f"/agents/{agent}/prompt", json={"message": message, **more})
    assert answer.status_code == 202, answer.text
    made = answer.json()
    await served.runtime.settled(made["run_id"], timeout_s=20, waits=True)
    return made
