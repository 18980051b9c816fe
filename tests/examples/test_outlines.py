"""What the examples look like; `ksl canvas SLUG --format tree` prints these files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksl.views.canvas import canvas_json, canvas_outline

from tests.examples.engine import examples

OUTLINES = Path(__file__).with_name("outlines")


def test_every_example_has_its_outline() -> None:
    assert sorted(examples().workflows) == sorted(path.stem for path in OUTLINES.glob("*.txt"))


@pytest.mark.parametrize("path", sorted(OUTLINES.glob("*.txt")), ids=lambda path: path.stem)
def test_an_example_is_drawn_as_before_and_whole(path: Path) -> None:
    assert canvas_outline(examples(), path.stem) == path.read_text()
    assert canvas_json(examples(), path.stem)["unplaced"] == []
