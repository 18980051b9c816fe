"""Runs that an agent started as a tool: they may not wait, since the model's turn waits for them."""

from __future__ import annotations

from ksl.errors import ToolCannotWait
from ksl.records import Trigger


def raise_if_tool(trigger: Trigger, run_id: str, what: str) -> None:
    """`what`: the wait that was asked for, in the author's words."""
    if trigger == "agent":
        raise ToolCannotWait(
            f"run {run_id} was started as a tool of an agent, and its body called {what}. Such a run cannot wait, "
            "since the model's turn waits for it. Put the wait into the workflow that prompts the agent, or use "
            "requires_approval(...) for a person's answer; a bound on an action's time is its own, "
            "@action(timeout=...)."
        )
