from __future__ import annotations

import json
from typing import Any

import pytest

from ksl.engine.masked import fits_masked


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("recorded", "given"),
    [
        ({"a": "x [redacted:slack] y"}, {"a": "x s3cr3t y"}),
        ({"a": ["[redacted:slack]"]}, {"a": [12345678]}),
        ({"[redacted:slack]": 1}, {"s3cr3t": 1}),
        ("[redacted:a][redacted:b]", "xy\nz"),
        ({"a": "[redacted:slack]"}, {"a": "[redacted:slack]"}),
    ],
)
def test_a_mask_stands_for_any_text(recorded: Any, given: Any) -> None:
    assert fits_masked(text(recorded), text(given))


@pytest.mark.parametrize(
    ("recorded", "given"),
    [
        ({"a": "x [redacted:slack] y"}, {"a": "x s3cr3t z"}),
        ({"a": "[redacted:slack]", "b": 1}, {"a": "s3cr3t", "b": 2}),
        ({"a": "[redacted:slack]"}, {"a": "s3cr3t", "b": 2}),
        (["[redacted:slack]"], ["a", "b"]),
        (["[redacted:slack]"], {"a": "b"}),
        ({"a": "s3cr3t"}, {"a": "[redacted:slack]"}),
    ],
)
def test_all_else_must_be_the_same(recorded: Any, given: Any) -> None:
    assert not fits_masked(text(recorded), text(given))
