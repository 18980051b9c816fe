"""A canvas comes back from its JSON as it was, places in a source with any letters among them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from ksl.build.canvas import Canvas, canvas_of, extract
from ksl.build.canvas.as_json import as_json
from ksl.build.canvas.code_row import code_row, stored_canvas
from ksl.build.canvas.from_json import from_json

from tests.property.machine import programs
from tests.property.test_canvas import program
from tests.unit.build.stand_in import is_context, kind_of, load, table_of

SEEDS = 200


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_any_canvas_comes_back_whole(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 50):
        text = program(Random(seed), leaves=seed % 2 == 0).replace("xs", "größe")
        function = load(tmp_path / f"flow{seed}.py", text)["body"]
        canvas = extract(function, table_of(function), kind_of=kind_of, is_context=is_context)
        same(canvas, from_json(json.loads(json.dumps(as_json(canvas))), text))


def test_what_is_kept_with_a_version_is_what_was_drawn(tmp_path: Path) -> None:
    with programs(tmp_path, [(f"p{seed}", seed, seed % 2 == 0) for seed in range(30)]) as project:
        for slug in project.workflows:
            row = code_row(project, slug)
            assert row.code_version == project.code_version(slug)
            for table in project.reached(slug):
                canvas = stored_canvas(row, table.workflow)
                assert canvas is not None
                same(canvas, canvas_of(project, table.workflow))
                keys = [site["id"] for site in json.loads(row.sites)[table.workflow]]
                assert keys == [site.key for site in table.sites]
            assert stored_canvas(row, "nowhere") is None


@pytest.mark.parametrize("text", ['{"workflow": "w"}', "{}", '{"file": 1}'])
def test_what_is_no_canvas_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the JSON of a canvas"):
        from_json(json.loads(text), "")


def same(one: Canvas, other: Canvas) -> None:
    assert one.source.text == other.source.text
    assert one.blocks == other.blocks
    assert one.at == other.at
    nowhere = [[replace(site, file="") for site in canvas.unplaced] for canvas in (one, other)]
    assert nowhere[0] == nowhere[1]
