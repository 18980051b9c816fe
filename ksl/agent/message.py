"""Messages between an agent and a model, as plain JSON: the form that pydantic-ai writes and reads.

A conversation is a list of requests (what the model is told) and responses (what it says), each with parts. Responses
keep parts that ksl does not look at, such as a vendor's signed thoughts, since the vendor wants them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

Json = dict[str, Any]
OUTPUT_TOOL = "final_result"  # the tool by which a model gives a structured answer


class ToolCall(msgspec.Struct, frozen=True):
    id: str
    name: str
    arguments: Any  # as the model wrote them: an object, or text that should be one

    def object(self) -> Json:
        """Errors: ValueError, in words for the model."""
        value = self.arguments
        if value is None or value == "":
            return {}
        if isinstance(value, str):
            try:
                value = msgspec.json.decode(value)
            except msgspec.DecodeError as error:
                raise ValueError(f"the arguments are not JSON: {error}") from None
        if not isinstance(value, dict):
            raise ValueError("the arguments must be a JSON object")
        return cast("Json", value)


def user(text: str) -> Json:
    return {"part_kind": "user-prompt", "content": text}


def tool_return(call: ToolCall, content: Any) -> Json:
    return {"part_kind": "tool-return", "tool_name": call.name, "content": content, "tool_call_id": call.id}


def request(parts: Sequence[Json]) -> Json:
    return {"kind": "request", "parts": list(parts)}


def response(parts: Sequence[Json]) -> Json:
    return {"kind": "response", "parts": list(parts)}


def text_of(parts: Sequence[Json]) -> str:
    return "".join(part["content"] for part in parts if part.get("part_kind") == "text")


def asked_again(parts: Sequence[Json], said: str) -> list[Json]:
    """What a model is told of an answer that does not do. Each of its calls is answered: vendors refuse those that
    are not."""
    answers = [call for call in calls_of(parts) if call.name == OUTPUT_TOOL]
    if not answers:
        return [user(said)]
    return [
        tool_return(call, said if call is answers[0] else "Only one answer is taken.") for call in answers
    ]


def told_apart(parts: Sequence[Json], before: Sequence[Json]) -> list[Json]:
    """Some servers give several calls the same id, or begin to count anew with each turn. An answer to a call names
    it by its id, and vendors refuse a conversation with two of one id."""
    taken = {part.get("tool_call_id") for message in before for part in message["parts"]}
    apart: list[Json] = []
    for part in parts:
        if part.get("part_kind") == "tool-call":
            given = id = part["tool_call_id"]
            count = 1
            while id in taken:
                count += 1
                id = f"{given}-{count}"
            taken.add(id)
            part = {**part, "tool_call_id": id}
        apart.append(part)
    return apart


def calls_of(parts: Sequence[Json]) -> list[ToolCall]:
    return [
        ToolCall(part.get("tool_call_id") or f"call-{n}", part["tool_name"], part.get("args"))
        for n, part in enumerate(parts)
        if part.get("part_kind") == "tool-call"
    ]
