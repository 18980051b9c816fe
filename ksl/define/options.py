"""Options of a definition, checked where it stands: what is wrong is told with its name, and not at the first run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from ksl.define.duration import parse_duration
from ksl.errors import MalformedDefinition

T = TypeVar("T")


def function_of(given: object, *, decorator: str) -> Callable[..., Any]:
    """What a decorator was put on, or was given by mistake."""
    if not callable(given) or isinstance(given, type) or not hasattr(given, "__qualname__"):
        raise MalformedDefinition(
            f"@{decorator} stands on a function, and {given!r} is none. Options have names, as in "
            f'@{decorator}(slug="some-name").'
        )
    return given


def kind_of(given: T | None, kind: type[T], *, where: str, option: str, what: str = "") -> T | None:
    """`what` it takes, in words; by default a call of `kind`."""
    if given is not None and not isinstance(given, kind):
        what = what or f"a {kind.__name__}(...)"
        raise MalformedDefinition(f"{where}: {option}= takes {what}, not {given!r}.")
    return given


def seconds_of(given: str | float | timedelta | None, *, where: str, option: str) -> float | None:
    try:
        return None if given is None else parse_duration(given)
    except ValueError as error:
        raise MalformedDefinition(f"{where}: {option}: {error}.") from None


def bound_of(given: int | None, *, where: str, option: str) -> int | None:
    """How many at once."""
    if given is not None and (isinstance(given, bool) or not isinstance(given, int)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise MalformedDefinition(f"{where}: {option}= takes a whole number, not {given!r}.")
    if given is not None and given < 1:
        raise MalformedDefinition(f"{where}: {option}={given} would never let it run; it starts at 1.")
    return given
