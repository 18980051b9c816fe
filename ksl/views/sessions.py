"""Sessions of agents, as they are shown to an authenticated user."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from ksl.agent.message import OUTPUT_TOOL
from ksl.agent.transcript import Transcript, Turn, transcript
from ksl.errors import BadRequest, UnknownSession
from ksl.log.sessions import PromptState
from ksl.log.store import Store
from ksl.records import FINISHED, RunStatus
from ksl.records.model_use import NO_USE, ModelUse
from ksl.records.session import PromptRow
from ksl.views.model_use import use_json
from ksl.views.times import rfc3339, rfc3339_or_none
from ksl.views.values import JsonObject

PAGE = 100
_ENDED = {"step_completed": "completed", "step_failed": "failed", "step_cancelled": "cancelled"}
_RESTS = {RunStatus.WAITING: "waiting", RunStatus.HELD: "held"}


async def sessions_json(
    store: Store, *, agent: str | None = None, cursor: str | None = None, limit: int = PAGE
) -> JsonObject:
    """`{"sessions": [...], "next_cursor"}`, those with the newest prompts first. Errors: BadRequest."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise BadRequest("cursor: it is what an earlier answer gave as next_cursor.")
    before = None if cursor is None else int(cursor)
    rows = await store.sessions.newest(agent=agent, before=before, limit=limit + 1)
    page = rows[:limit]
    prompts = await store.sessions.of([row.session_id for row in page])
    asked = [prompt for row in page for prompt in prompts.get(row.session_id, [row])]
    states = dict(zip((prompt.id for prompt in asked), await store.sessions.states(asked), strict=True))
    return {
        "sessions": [await _line(store, row, prompts.get(row.session_id, [row]), states) for row in page],
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
        "status": prompts[-1][0]["status"],
        "usage": use_json(total),
        "prompts": [shown for shown, _ in prompts],
    }


async def _line(
    store: Store, row: PromptRow, prompts: list[PromptRow], states: dict[int, PromptState]
) -> JsonObject:
    use = NO_USE
    for prompt in prompts:
        use = use.plus(states[prompt.id].use)
    ended = states[row.id].ended
    return {
        "session_id": row.session_id,
        "agent": row.agent,
        "parent": row.parent,
        "run_id": row.run_id,
        "step": f"step:{row.step}",
        "status": _ENDED[ended] if ended else await _status(store, row.run_id),
        "prompts": len(prompts),
        "usage": use_json(use),
        "started_at": rfc3339(prompts[0].at_ms),
        "prompted_at": rfc3339(row.at_ms),
    }


async def _status(store: Store, run_id: str) -> str:
    """Of a prompt whose step has no end yet."""
    run = await store.run(run_id)
    if run is None:
        return "running"
    return run.status.value if run.status in FINISHED else _RESTS.get(run.status, "running")


async def _prompt(store: Store, row: PromptRow) -> tuple[JsonObject, ModelUse]:
    said = transcript(await store.events(row.run_id), row.step, summed_up=False)
    shown: JsonObject = {
        "run_id": row.run_id,
        "step": f"step:{row.step}",
        "at": rfc3339(row.at_ms),
        "status": await _status(store, row.run_id) if said.status == "running" else said.status,
        "error": said.error and {key: said.error.get(key) for key in ("type", "message")},
        "usage": use_json(said.use),
        "turns": [_turn(turn) for turn in said.turns],
        "messages": _messages(said),
    }
    return shown, said.use


def _turn(turn: Turn) -> JsonObject:
    return {
        "step": f"step:{turn.step}",
        "usage": use_json(turn.use),
        "started_at": rfc3339_or_none(turn.started_at_ms),
        "finished_at": rfc3339_or_none(turn.finished_at_ms),
    }


def _messages(said: Transcript) -> list[JsonObject]:
    """In the order in which they were said: `{"role": "user" | "assistant" | "call" | "result", ...}`. `turn` is the
    place of the turn in which the model said it, or made the call that a result answers."""
    if not said.messages and said.started is not None:
        return [{"role": "user", "text": said.started.get("message", "")}]  # the first turn is under way
    shown: list[JsonObject] = []
    for place, message in enumerate(said.messages):
        for part in message["parts"]:
            match part.get("part_kind"):
                case "user-prompt":
                    shown.append({"role": "user", "text": part["content"]})
                case "text" if part["content"]:
                    shown.append({"role": "assistant", "turn": place // 2, "text": part["content"]})
                case "tool-call" if part["tool_name"] == OUTPUT_TOOL:
                    shown.append({"role": "assistant", "turn": place // 2, "output": _read(part.get("args"))})
                case "tool-call":
                    call = {
                        "tool": part["tool_name"],
                        "id": part.get("tool_call_id"),
                        "arguments": _read(part.get("args")),
                    }
                    shown.append({"role": "call", "turn": place // 2, **call})
                case "tool-return":
                    result = {
                        "tool": part["tool_name"],
                        "id": part["tool_call_id"],
                        "result": part["content"],
                    }
                    shown.append({"role": "result", "turn": place // 2 - 1, **result})
                case _:
                    pass
    return shown


def _read(arguments: object) -> object:
    """Some models write them as text, which is to be JSON."""
    if isinstance(arguments, str):
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(arguments)
    return arguments
