"""What was said in a prompt, read from the events of its run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ksl.agent.message import OUTPUT_TOOL, calls_of, request, response, tool_return, user
from ksl.agent.turn import said, summary_text
from ksl.records import Event
from ksl.records.model_use import NO_USE, ModelUse

Json = dict[str, Any]


class Turn(msgspec.Struct, frozen=True):
    step: str  # bare
    use: ModelUse
    started_at_ms: int
    finished_at_ms: int


class Transcript(msgspec.Struct):
    """`messages` from the newest summary on, or all of them; `is_whole` where there is no summary."""

    messages: list[Json] = []
    turns: list[Turn] = []  # each is two messages, where there is no summary
    is_whole: bool = True
    use: ModelUse = NO_USE
    started: Json | None = None  # the input of the step that opened it
    status: str = "running"  # or completed, failed, cancelled
    error: Json | None = None


def transcript(events: Iterable[Event], step: str, *, summed_up: bool) -> Transcript:
    """Of the agent's step. `summed_up`: as the model sees it, a summary in place of what it sums up."""
    found = Transcript(messages=[], turns=[])
    prefix = f"{step}/"
    for event in events:
        if event.step == step:
            _end(found, event)
        elif (
            event.step is None
            or not event.step.startswith(prefix)
            or event.type != "step_completed"
            or event.meta is None
        ):
            continue
        else:
            _take(found, event, event.step[len(prefix) :], summed_up=summed_up)
    return found


def answered(messages: Sequence[Json]) -> list[Json]:
    """The same, with an answer to each call of the last response: a vendor refuses calls that have none."""
    if not messages or messages[-1]["kind"] != "response":
        return list(messages)
    told = {True: "Taken.", False: "It was interrupted; whether it took effect is not known."}
    returns = [tool_return(call, told[call.name == OUTPUT_TOOL]) for call in calls_of(messages[-1]["parts"])]
    return [*messages, request(returns)] if returns else list(messages)


def _take(found: Transcript, event: Event, inner: str, *, summed_up: bool) -> None:
    if event.meta is not None and event.meta.model_use is not None:
        found.use = found.use.plus(event.meta.model_use)
    key = inner.partition("#")[0]
    if "/" in inner or event.meta is None:
        return
    match key, event.meta.callee:
        case "session", "agent-session":
            found.started = json.loads(event.input or b"{}")
        case "turn", "agent-turn":
            found.messages.append(request(json.loads(event.input or b"{}")["new"]))
            found.messages.append(response(json.loads(event.data or b"{}")["parts"]))
            use = event.meta.model_use or NO_USE
            turn = Turn(event.step or "", use, event.meta.started_at_ms, event.meta.finished_at_ms)
            found.turns.append(turn)
        case "summary", "agent-summary" if summed_up and (summary := said(json.loads(event.data or b"{}"))):
            newest = found.messages.pop()
            sum = summary_text(summary)
            asked = (found.started or {}).get("message", "")
            found.messages = [request([user(sum), user(asked)]), newest]
            found.is_whole = False
        case _:
            pass


def _end(found: Transcript, event: Event) -> None:
    match event.type:
        case "step_completed":
            found.status = "completed"
        case "step_failed":
            found.status = "failed"
            found.error = json.loads(event.data or b"{}")
        case "step_cancelled":
            found.status = "cancelled"
        case _:
            pass
