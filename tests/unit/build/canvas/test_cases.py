"""Bodies beside their outlines, in `cases.txt`: the body, a line of dashes, the outline, an empty line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.build.canvas.drawing import lines

CASES = [
    case.split("\n----\n") for case in Path(__file__).with_name("cases.txt").read_text().strip().split("\n\n")
]


@pytest.mark.parametrize(("body", "outline"), CASES, ids=[body.splitlines()[0] for body, _ in CASES])
def test_a_body_is_drawn_as_its_outline(body: str, outline: str, tmp_path: Path) -> None:
    assert lines(tmp_path, body) == outline.splitlines()
