"""What the examples look like; `ksl canvas SLUG --format tree` and `boxes` print these files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksl.build.canvas import canvas_of
from ksl.build.canvas.boxes import boxes
from ksl.build.canvas.outline import outline

from tests.examples.engine import examples

OUTLINES = sorted(Path(__file__).with_name("outlines").glob("*.txt"))
BOXES = sorted(Path(__file__).with_name("boxes").glob("*.txt"))


@pytest.mark.parametrize("paths", [OUTLINES, BOXES], ids=["outlines", "boxes"])
def test_every_example_is_there(paths: list[Path]) -> None:
    assert examples().defined == sorted(path.stem for path in paths)


@pytest.mark.parametrize("path", OUTLINES, ids=lambda path: path.stem)
def test_an_example_is_drawn_as_before_and_whole(path: Path) -> None:
    canvas = canvas_of(examples(), path.stem)
    assert outline(canvas) == path.read_text()
    assert canvas.unplaced == ()


@pytest.mark.parametrize("path", BOXES, ids=lambda path: path.stem)
def test_the_boxes_of_an_example_are_drawn_as_before(path: Path) -> None:
    assert boxes(canvas_of(examples(), path.stem)).text == path.read_text()
