"""Workflows with their figures, and what is shown of one that cannot be imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from ksl.tui import words
from ksl.tui.lines import Lines
from ksl.tui.workflow_lines import failure_rate, figures, painted, rows_of, sparkline
from ksl.tui.workflows import WorkflowsScreen

from tests.integration.api.serving import Served, serving
from tests.tui.app import SIZES, shown, text_of, until
from tests.tui.project import lived

LATER = '''
"""Workflows of a file of its own."""

from ksl import workflow

from workflows.shop import press


@workflow(slug="late")
async def late() -> str:
    return await press.run(key="late")
'''
WARNED = '''
"""A workflow that draws a warning."""

import asyncio

from ksl import workflow

from workflows.shop import press


@workflow(slug="warned")
async def warned(input: list[str]) -> None:
    await asyncio.gather(*(press.run(key=key) for key in input))
'''


async def test_the_list_tells_of_the_runs_of_a_day_and_of_what_is_wrong(folder: Path) -> None:
    (folder / "workflows" / "warned.py").write_text(WARNED.lstrip())
    async with serving(folder) as served:
        await lived(served)
        answer = (await served.client.get("/workflows", params={"figures": "true"})).json()
        by_slug = {each["slug"]: each for each in answer["workflows"]}
        recent = by_slug["fulfil-order"]["recent"]
        assert {key: recent[key] for key in ("runs", "succeeded", "failed", "held")} == {
            "runs": 2, "succeeded": 1, "failed": 1, "held": 0,
        }  # fmt: skip
        assert (len(recent["hours"]), sum(recent["hours"])) == (24, 2)
        assert by_slug["fulfil-order"]["steps"] == 4
        assert by_slug["echo"]["problems"] == []
        assert {each["severity"] for each in by_slug["warned"]["problems"]} == {"warning"}
        assert (answer["exact"], answer["failures"]) == (True, [])
        plain = (await served.client.get("/workflows")).json()
        assert set(plain["workflows"][0]) == {"slug", "name", "description"}


@pytest.mark.parametrize("size", SIZES)
async def test_figures_are_shown_where_there_is_room_and_change_with_the_runs(
    served: Served, size: tuple[int, int]
) -> None:
    await lived(served)
    async with shown(served, size) as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen) and app.screen.canvas)
        await pilot.press("j")
        await until(pilot, lambda: "50%" in text_of(app))
        await served.ended("fulfil-order", {"id": "o-1"})
        await until(pilot, lambda: "33%" in text_of(app))
        assert isinstance(app.screen, WorkflowsScreen)
        assert app.screen.slug == "fulfil-order"


@pytest.mark.parametrize("size", SIZES)
async def test_one_that_cannot_be_imported_shows_the_traceback_beside_its_last_canvas(
    folder: Path, size: tuple[int, int]
) -> None:
    path = folder / "workflows" / "late.py"
    path.write_text(LATER.lstrip())
    async with serving(folder) as served:
        await served.ended("late")
    path.write_text(LATER.lstrip() + "\n\nraise OSError('no such table')\n")
    async with serving(folder) as served, shown(served, size) as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen) and app.screen.canvas)
        await until(pilot, lambda: "cannot import" in text_of(app))
        assert isinstance(app.screen, WorkflowsScreen)
        screen = app.screen
        screen.query_one("#workflows", Lines).select("!late")
        await until(pilot, lambda: screen.slug is None and screen.canvas is None)
        await pilot.press("s")
        await until(pilot, lambda: "OSError: no such table" in text_of(app))
        await pilot.press("escape", "enter")
        await until(pilot, lambda: "▸ press" in text_of(app))
        await pilot.press("n")
        await until(pilot, lambda: "so it starts" in text_of(app))


async def test_a_module_that_defined_no_workflow_is_told_by_its_file(folder: Path) -> None:
    (folder / "actions").mkdir()
    (folder / "actions" / "broken.py").write_text("import nothing_like_it\n")
    async with serving(folder) as served, shown(served) as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: "actions/broken.py" in text_of(app))
        await pilot.press("g")
        await until(pilot, lambda: "nothing_like_it" in text_of(app))
        await until(pilot, lambda: "so there is no canvas" in text_of(app))


def test_hours_are_columns_and_one_without_runs_has_none() -> None:
    assert sparkline([0, 1, 4, 8, 0], words.NICE) == " ▂▅█ "
    assert sparkline([0] * 24, words.NICE) == " " * 24
    assert sparkline([1, 1000], words.PLAIN) == ":#"


@pytest.mark.parametrize(
    ("recent", "rate"),
    [
        ({"succeeded": 3, "failed": 0, "held": 0}, ""),
        ({"succeeded": 3, "failed": 1, "held": 0}, "25%"),
        ({"succeeded": 999, "failed": 0, "held": 1}, "1%"),
        ({"succeeded": 0, "failed": 2, "held": 0}, "100%"),
    ],
)
def test_the_rate_is_of_what_ended_and_never_rounds_a_failure_away(recent: dict[str, Any], rate: str) -> None:
    assert failure_rate(recent) == rate


@pytest.mark.parametrize("width", [26, 30, 71, 76, 78])
def test_a_line_keeps_to_its_room(width: int) -> None:
    recent: dict[str, Any] = {"runs": 123_456, "succeeded": 1, "failed": 1, "held": 0, "hours": [5] * 24}
    problems: list[dict[str, Any]] = [{"code": "KSL103", "severity": "error", "line": 3}]
    answer: dict[str, Any] = {
        "workflows": [
            {"slug": "a-workflow-with-a-long-name", "steps": 12, "recent": recent, "problems": problems}
        ],
        "failures": [
            {"module": "workflows.late", "file": "workflows/late.py", "line": 1, "workflows": []},
        ],
    }
    for row in rows_of(answer):
        assert painted(row, width, words.NICE).cell_len <= width
    assert isinstance(painted(rows_of(answer)[0], width, words.PLAIN), Text)


def test_the_hours_of_a_workflow_stand_on_a_line_of_their_own() -> None:
    hours = [0] * 23 + [2]
    recent = {"runs": 2, "succeeded": 1, "failed": 1, "held": 0, "hours": hours}
    shown: dict[str, object] = {"slug": "x", "steps": 2, "recent": recent, "problems": []}
    [row] = rows_of({"workflows": [shown], "failures": []})
    words_, bars = figures(row, words.NICE).plain.split("\n")
    assert words_ == "2 steps   2 runs in 24 h, 50% failed"
    assert bars == f"by hour  {' ' * 23}█|"
