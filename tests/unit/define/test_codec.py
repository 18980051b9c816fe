"""Values to JSON and back, and the path to what cannot go."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksl.define.codec import Codec, where_of
from ksl.errors import NotEncodable

ANY = Codec(Any, where="here")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_plain_json_comes_back_as_it_went_in(value: Any) -> None:
    data = ANY.encode(value, root="output")
    assert ANY.decode(data) == value
    assert ANY.encode(ANY.decode(data), root="output") == data
    json.loads(data)


ODD = [math.nan, math.inf, -math.inf, "\ud800", object(), Decimal("nan"), Decimal("snan"), Decimal("-inf")]


@given(JSON, st.sampled_from(ODD))
def test_what_json_does_not_have_is_refused_wherever_it_hides(value: Any, odd: Any) -> None:
    for hidden in (odd, [value, odd], {"k": value, "z": {"deep": [odd]}}, (odd,)):
        with pytest.raises(NotEncodable, match=r"^output"):
            ANY.encode(hidden, root="output")


def test_the_path_reads_like_code() -> None:
    with pytest.raises(NotEncodable, match=r"^output\.items\[3\]\.name is nan"):
        ANY.encode({"items": [1, 2, 3, {"name": math.nan}]}, root="output")
    assert where_of(["items", 3, "name"]) == "items[3].name"
    assert where_of([]) == "the value itself"


def test_a_nan_inside_a_model_is_found_though_pydantic_writes_null() -> None:
    from pydantic import BaseModel

    class Reading(BaseModel):
        name: str | None
        value: float

    codec = Codec(list[Reading], where="here")
    assert codec.encode([Reading(name=None, value=1.0)], root="output") == b'[{"name":null,"value":1.0}]'
    with pytest.raises(NotEncodable, match=r"^output\[0\]\.value is nan"):
        codec.encode([Reading(name=None, value=math.nan)], root="output")
