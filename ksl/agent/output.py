"""Structured answers: the schema a model is shown, and reading what it gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ksl.agent.message import OUTPUT_TOOL, calls_of, text_of
from ksl.define.agent import codec_of

Json = dict[str, Any]
ASKED_AGAIN_MAX = 2  # for an answer that fits


class Misfit(Exception):
    """An answer does not fit; why, in words for the model."""


class Wanted:
    """What an answer is to be: `annotation` None for text."""

    def __init__(self, annotation: Any) -> None:
        self._codec = None if annotation is None else codec_of(annotation)
        self.schema: Json | None = None
        self.wrapped = False
        if self._codec is not None:
            schema = self._codec.schema()
            # Models give objects; anything else is the one field of an object.
            self.wrapped = schema.get("type") != "object"
            self.schema = _wrapped(schema) if self.wrapped else schema

    def read(self, parts: Sequence[Json]) -> bytes:
        """The answer as JSON text. Errors: Misfit."""
        if self._codec is None:
            return b"null"
        call = next((call for call in calls_of(parts) if call.name == OUTPUT_TOOL), None)
        given = call.arguments if call is not None else _bare(text_of(parts))
        try:
            value: Any = given
            if isinstance(value, str):
                value = msgspec.json.decode(value)
            if self.wrapped and isinstance(value, dict) and "response" in value:
                value = cast("Json", value)["response"]
            decoded = self._codec.decode(msgspec.json.encode(value))
            return self._codec.encode(decoded, root="output")
        except ValueError as error:
            raise Misfit(_said(error)) from error


def _wrapped(schema: Json) -> Json:
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    whole: Json = {
        "type": "object",
        "properties": {"response": inner},
        "required": ["response"],
        "additionalProperties": False,
    }
    return whole | ({"$defs": schema["$defs"]} if "$defs" in schema else {})


def _bare(text: str) -> str:
    """JSON text out of the fence that models like to put around it."""
    text = text.strip()
    if text.startswith("```"):
        text = text.removeprefix("```").removeprefix("json").removesuffix("```").strip()
    return text


def _said(error: ValueError) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return f"it is not JSON: {error}"
    lines = [
        f"{'.'.join(str(part) for part in item['loc']) or 'the answer'}: {item['msg']}"
        for item in error.errors(include_url=False)[:10]
    ]
    return "; ".join(lines)
