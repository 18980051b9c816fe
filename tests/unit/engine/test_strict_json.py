"""RFC 8259 and nothing more."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksl.engine.strict_json import DEPTH_MAX, check
from ksl.errors import BadJson

REFUSED = {
    "a mark": (b"\xef\xbb\xbf{}", "byte-order mark"),
    "nan": (b"NaN", "NaN"),
    "infinity": (b'{"a": -Infinity}', "Infinity"),
    "not utf-8": (b'"\xff"', "UTF-8"),
    "a lone surrogate": (b'"\\ud800"', "surrogate"),
    "one in a key": (b'{"\\uDFFF": 1}', "surrogate"),
    "nothing": (b"", "not JSON"),
    "two values": (b"1 2", "not JSON"),
    "single quotes": (b"{'a': 1}", "not JSON"),
    "a comma too many": (b"[1,]", "not JSON"),
    "a raw newline in text": (b'"a\nb"', "not JSON"),
    "too deep": (b"[" * 201 + b"]" * 201, "201 deep"),
    "far too deep": (b"[" * 100_000, "deep"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_strict_json_is_refused_with_why(name: str) -> None:
    text, says = REFUSED[name]
    with pytest.raises(BadJson, match=says) as refused:
        check(text, what="the input")
    assert str(refused.value).endswith(" Nothing was stored.")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.booleans(),
)
def test_all_strict_json_is_let_through(value: object, ascii_only: bool) -> None:
    check(json.dumps(value, ensure_ascii=ascii_only).encode(), what="the input")


@pytest.mark.parametrize(
    "text",
    [
        b'"\\ud83d\\ude00"',
        b'"[[[[" ',
        b'{"a":1,"a":2}',
        b"[" * DEPTH_MAX + b"]" * DEPTH_MAX,
        b'"' + b"[{" * 300 + b'"',
    ],
    ids=["a pair", "brackets in text", "a key twice", "just deep enough", "many brackets in text"],
)
def test_what_only_looks_wrong_is_let_through(text: bytes) -> None:
    check(text, what="the input")
