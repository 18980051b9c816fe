"""A value of a body as a line of text. None of the author's code is asked: a `__repr__` may block, or act."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import types
import uuid
from collections.abc import Iterable
from typing import Any, cast

import msgspec

LENGTH_MAX = 2_000  # characters of one value
ITEMS_MAX = 20
TEXT_MAX = 400
DEPTH_MAX = 5

# Exactly these: a subclass may bring its own __repr__.
_PLAIN = (
    bool, int, float, complex, type(None), type(...), decimal.Decimal, uuid.UUID, dt.datetime,
    dt.date, dt.time, dt.timedelta, pathlib.PosixPath, range,
)  # fmt: skip
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def glimpse(value: Any) -> str:
    text = _shown(value, DEPTH_MAX, set())
    return text if len(text) <= LENGTH_MAX else text[:LENGTH_MAX] + "…"


def _shown(value: Any, depth: int, inside: set[int]) -> str:
    kind: type[Any] = cast("type[Any]", type(value))
    if kind is int and abs(value) >= 10**100:
        return f"<int of {value.bit_length()} bits>"  # all its digits would take seconds, or be refused
    if kind in _PLAIN:
        return repr(value)
    if kind is str or kind is bytes:
        return repr(value) if len(value) <= TEXT_MAX else f"{value[:TEXT_MAX]!r}… ({len(value):,} in all)"
    if isinstance(value, enum.Enum):
        return f"{kind.__name__}.{value._name_}"
    if isinstance(value, type):
        return f"<class {value.__name__}>"
    if isinstance(value, _FUNCTIONS):
        return f"<function {value.__name__}>"
    if isinstance(value, types.ModuleType):
        return f"<module {value.__name__}>"
    if isinstance(value, BaseException):
        return f"{kind.__name__}({_some(BaseException.__getattribute__(value, 'args'), depth, inside)})"
    if depth == 0 or id(value) in inside:
        return f"<{kind.__name__} …>"
    inside.add(id(value))
    try:
        return _compound(value, kind, depth - 1, inside)
    finally:
        inside.discard(id(value))


def _compound(value: Any, kind: Any, depth: int, inside: set[int]) -> str:
    if kind is list:
        return f"[{_some(value, depth, inside)}]"
    if kind is tuple:
        return f"({_some(value, depth, inside)}{',' if len(value) == 1 else ''})"
    if kind is set or kind is frozenset:
        return f"{{{_some(value, depth, inside)}}}" if value else f"{kind.__name__}()"
    if kind is dict:
        pairs = [
            f"{_shown(key, depth, inside)}: {_shown(each, depth, inside)}"
            for key, each in _first(value.items())
        ]
        return f"{{{', '.join(pairs)}{_more(value)}}}"
    if kind.__module__ in ("pydantic.types", "pydantic.networks") and kind.__name__.startswith("Secret"):
        return f"<{kind.__name__} …>"
    fields = _fields(value, kind)
    if fields is None:
        return f"<{kind.__name__}>"
    shown = [f"{name}={_shown(each, depth, inside)}" for name, each in _first(fields.items())]
    return f"{kind.__name__}({', '.join(shown)}{_more(fields)})"


def _fields(value: Any, kind: Any) -> dict[str, Any] | None:
    """What a record holds, read past any property or `__getattr__` of the author's; None of anything else."""
    own: dict[str, Any]
    if hasattr(kind, "__pydantic_fields__") and isinstance(own := _dict_of(value), dict):
        return own
    if issubclass(kind, msgspec.Struct):
        names: Iterable[str] = kind.__struct_fields__
        return {name: object.__getattribute__(value, name) for name in names}
    if dataclasses.is_dataclass(kind):
        try:
            return {
                field.name: object.__getattribute__(value, field.name) for field in dataclasses.fields(kind)
            }
        except AttributeError:
            return None
    named: tuple[str, ...] | None = getattr(kind, "_fields", None) if tuple in kind.__mro__ else None
    if named is None:
        return None
    values: Any = tuple[Any, ...].__iter__(value)
    return dict(zip(named, values, strict=False))


def _dict_of(value: Any) -> Any:
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None


def _some(values: Any, depth: int, inside: set[int]) -> str:
    return ", ".join(_shown(each, depth, inside) for each in _first(values)) + _more(values)


def _first(values: Iterable[Any]) -> list[Any]:
    return [each for _, each in zip(range(ITEMS_MAX), values, strict=False)]


def _more(values: Any) -> str:
    return f", … {len(values) - ITEMS_MAX:,} more" if len(values) > ITEMS_MAX else ""
