"""Values are shown without asking any of the author's code, and never at length."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Any, NamedTuple, NoReturn

import msgspec
import pytest
from pydantic import BaseModel, SecretStr

from ksl.engine.glimpse import LENGTH_MAX, glimpse


class Colour(enum.Enum):
    RED = 1


class Hostile:
    def __repr__(self) -> NoReturn:
        raise AssertionError("the author's code was asked")

    __str__ = __repr__

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError("the author's code was asked")


class HostileInt(int):
    def __repr__(self) -> NoReturn:
        raise AssertionError("the author's code was asked")


class Model(BaseModel):
    name: str
    inner: Any = None
    token: SecretStr = SecretStr("hunter2")

    def __repr__(self) -> NoReturn:
        raise AssertionError("the author's code was asked")


@dataclasses.dataclass
class Point:
    x: int
    other: Any = None

    def __repr__(self) -> NoReturn:
        raise AssertionError("the author's code was asked")


class Pair(NamedTuple):
    left: int
    right: Any


class Packed(msgspec.Struct):
    n: int


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        ("a'b", '"a\'b"'),
        (b"x", "b'x'"),
        (dt.date(2026, 11, 22), "datetime.date(2026, 11, 22)"),
        ([1, "a", (2,)], "[1, 'a', (2,)]"),
        ({"k": {3}}, "{'k': {3}}"),
        (set[int](), "set()"),
        (Colour.RED, "Colour.RED"),
        (Point(1, Packed(2)), "Point(x=1, other=Packed(n=2))"),
        (Pair(1, None), "Pair(left=1, right=None)"),
        (Model(name="Ada"), "Model(name='Ada', inner=None, token=<SecretStr …>)"),
        (ValueError("no", 1), "ValueError('no', 1)"),
        (Point, "<class Point>"),
        (len, "<function len>"),
        (dt, "<module datetime>"),
        (Hostile(), "<Hostile>"),
        (HostileInt(3), "<HostileInt>"),
        ([Hostile()], "[<Hostile>]"),
        (10**200, "<int of 665 bits>"),
    ],
    ids=lambda value: "",  # else pytest asks the values
)
def test_a_value_is_shown_as_what_it_is(value: Any, shown: str) -> None:
    assert glimpse(value) == shown


def test_what_is_long_is_cut_and_says_how_much_there_is() -> None:
    assert glimpse("x" * 1000).endswith("… (1,000 in all)")
    assert glimpse(list(range(1000))).endswith(", … 980 more]")
    assert len(glimpse([["y" * 300] * 20] * 20)) == LENGTH_MAX + 1


def test_what_holds_itself_comes_to_an_end() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert glimpse(ring) == "[<list …>]"
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    assert glimpse(deep) == "[[[[[<list …>]]]]]"
