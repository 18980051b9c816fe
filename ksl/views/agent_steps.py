"""What steps have to do with agents: which session they are of, what models used in them and below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ksl.views.values import JsonObject, is_object, value_of

if TYPE_CHECKING:
    from ksl.views.steps import StepState

_OPENS = "agent-session"  # the action by which an agent's step begins


def agents_at_work(steps: Mapping[str, StepState]) -> list[tuple[str, str]]:
    """Steps of agents that have begun and not ended: the id, and the agent's slug."""
    found: list[tuple[str, str]] = []
    for step in steps.values():
        agent = step.id.rpartition("/")[0]
        ended = agent in steps and steps[agent].finished_at_ms is not None
        if step.callee == _OPENS and step.status == "succeeded" and not ended:
            given = value_of(step.input)
            found.append((agent, str(given.get("agent", "")) if is_object(given) else ""))
    return found


def tell_of_agents(steps: Mapping[str, StepState]) -> None:
    """Gives each step the session of the agent that it is or lies below, and an agent's step the use of all below."""
    sessions = {
        step.id.rpartition("/")[0]: session_id
        for step in steps.values()
        if step.callee == _OPENS and (session_id := _session_in(step.output)) is not None
    }
    if not sessions:
        return
    for step in [*steps.values()]:
        above = step.id
        while above:
            if above in sessions:
                step.session_id = step.session_id or sessions[above]
                agent = steps.get(above)
                if step.own_use is not None and agent is not None and agent is not step:
                    agent.use = step.own_use if agent.use is None else agent.use.plus(step.own_use)
            above = above.rpartition("/")[0]


def below(steps: Sequence[JsonObject], agent: JsonObject) -> list[JsonObject]:
    """The turns of an agent's step and the calls of its tools, as they are listed; without the step that opens its
    session. Empty for a step of another kind."""
    prefix = f"{agent['id']}/"
    if agent["session_id"] is None:
        return []
    return [
        step
        for step in steps
        if step["id"].startswith(prefix)
        and "/" not in step["id"].removeprefix(prefix)
        and step["callee"] != _OPENS
    ]


def used(usage: JsonObject | None) -> str:
    """ "3 turns, 120 in, 30 out, $0.0012": in the words that every face shows; empty where no model was asked."""
    if not usage or not usage["turns"]:
        return ""
    turns = "1 turn" if usage["turns"] == 1 else f"{usage['turns']:,} turns"
    return f"{turns}, {tokens(usage)}"


def tokens(usage: JsonObject) -> str:
    """The same of one turn."""
    told = f"{usage['input_tokens']:,} tokens in, {usage['output_tokens']:,} out"
    return told if usage["usd"] is None else f"{told}, {price(usage['usd'])}"


def price(usd: float) -> str:
    return f"${usd:.2f}" if usd >= 1 else f"${usd:.4f}"


def _session_in(output: bytes | None) -> str | None:
    opened = value_of(output)
    return str(opened["session_id"]) if is_object(opened) and opened.get("session_id") else None
