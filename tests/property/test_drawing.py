"""Drawings of random trees and of random programs: nothing overlaps, nothing is crossed, nothing is lost."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

import pytest

from ksl.build.canvas import Canvas, extract
from ksl.build.canvas.blocks import Opaque, Step, Wait, walk
from ksl.build.canvas.boxes import Sheet, boxes
from ksl.build.canvas.glyphs import ASCII, UNICODE, cells
from ksl.build.canvas.layout import arrange
from ksl.build.canvas.mermaid import mermaid
from ksl.build.canvas.outline import WIDTH, outline
from ksl.build.canvas.svg import svg
from ksl.build.canvas.svg.paper import Paper

from tests.property.test_canvas import program
from tests.property.trees import lit, tree
from tests.unit.build.canvas.geometry import check
from tests.unit.build.stand_in import is_context, kind_of, load, table_of

SEEDS = 400


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_a_random_tree_is_drawn_without_anything_in_anythings_way(first: int) -> None:
    for seed in range(first, first + 50):
        canvas = tree(seed)
        drawn(canvas, seed)


def test_a_random_program_is_drawn_without_anything_in_anythings_way(tmp_path: Path) -> None:
    for seed in range(60):
        function = load(tmp_path / f"flow{seed}.py", program(Random(seed), leaves=seed % 2 == 0))["body"]
        drawn(extract(function, table_of(function), kind_of=kind_of, is_context=is_context), seed)


def drawn(canvas: Canvas, seed: int) -> None:
    ids = [step.id for step in steps(canvas)]
    lights = lit(ids, seed)
    check(canvas, arrange(canvas, Paper()))
    check(canvas, arrange(canvas, Sheet(UNICODE, None)))
    check(canvas, arrange(canvas, Sheet(ASCII, lights)))
    for each in (None, lights):
        drawn_as_svg(canvas, svg(canvas, each), ids)
        for ascii in (False, True):
            box = boxes(canvas, each, ascii=ascii)
            lines = box.text.removesuffix("\n").split("\n")
            assert (max(map(cells, lines)), len(lines)) == (box.width, box.height)
            tree = outline(canvas, each, ascii=ascii)
            assert max(map(cells, tree.splitlines())) <= WIDTH
            for text in (box.text, tree):
                assert text.isascii() or not ascii
                assert text.replace("\n", "").isprintable()
    assert mermaid(canvas).startswith("flowchart")


def drawn_as_svg(canvas: Canvas, text: str, ids: list[str]) -> None:
    picture = ET.fromstring(text)
    drawn = [node.get("data-id") for node in picture.iter() if node.get("data-id") is not None]
    assert sorted(drawn, key=str) == sorted(ids)
    texts = [node for node in picture.iter() if node.tag.endswith(("text", "title", "style"))]
    assert not any(len(node) for node in texts), "what an author writes is text, never markup"
    assert not re.search(
        r"<(script|image|foreignObject|a)\b|\son\w+=|https?://(?!www\.w3\.org/2000/svg)", text
    )


def steps(canvas: Canvas) -> list[Step | Wait]:
    found: list[Step | Wait] = []
    for block in walk(canvas.blocks):
        if isinstance(block, Step | Wait):
            found.append(block)
        elif isinstance(block, Opaque):
            found += block.steps
    return found
