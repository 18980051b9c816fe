"""Stored JSON text as values, and values as JSON text."""

from __future__ import annotations

from typing import Any, TypeGuard

import msgspec

# Any is right here: this is where a user's JSON enters.
JsonObject = dict[str, Any]


def value_of(text: bytes | None) -> Any:
    """Nothing stored reads as null."""
    return None if text is None else msgspec.json.decode(text)


def items_of(text: bytes | None) -> list[Any]:
    """The items of a stored list; none when there is no list."""
    value = value_of(text)
    return value if is_list(value) else []


def is_object(value: object) -> TypeGuard[JsonObject]:
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)
