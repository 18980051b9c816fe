"""The arguments of a tool: one type gives the schema that a model is shown and the check of what it wrote."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec

from ksl.agent.tool_set import ToolError, ToolSpec

Json = dict[str, Any]


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To derive from; a field's description is its `msgspec.Meta`."""


A = TypeVar("A", bound=Arguments)


def spec_of(name: str, description: str, arguments: type[Arguments]) -> ToolSpec:
    _, components = msgspec.json.schema_components([arguments])
    schema = cast("Json", components[arguments.__name__])
    schema.pop("title", None)
    return ToolSpec(name, description, {**schema, "additionalProperties": False})


def read_arguments(given: Json, arguments: type[A]) -> A:
    """Errors: ToolError."""
    try:
        return msgspec.convert(given, arguments)
    except msgspec.ValidationError as error:
        raise ToolError(f"the arguments do not fit: {error}") from None
