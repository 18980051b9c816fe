"""The palette leads to runs, workflows and triggers, as their names are typed."""

from __future__ import annotations

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot

from ksl.tui.app import KslApp
from ksl.tui.dialogs import Fill
from ksl.tui.lines import Lines
from ksl.tui.run import RunScreen
from ksl.tui.triggers import TriggersScreen
from ksl.tui.workflows import WorkflowsScreen

from tests.integration.api.serving import Served
from tests.tui.app import runs_of, shown, text_of, until


def is_open(app: KslApp) -> bool:
    return isinstance(app.screen, CommandPalette)


async def typed(app: KslApp, pilot: Pilot[None], text: str, hit: str, *, gone: str = "!") -> None:
    """Opens the palette, types, waits until the hit is shown, and what fitted the first letters is not."""
    await pilot.press("ctrl+p")
    await until(pilot, lambda: is_open(app))
    await pilot.press(*text)
    await until(pilot, lambda: hit in text_of(app) and gone not in text_of(app))


async def chosen(app: KslApp, pilot: Pilot[None]) -> None:
    await pilot.press("enter")
    await until(pilot, lambda: not is_open(app))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_run_is_found_by_a_part_of_its_id(served: Served, size: tuple[int, int]) -> None:
    wanted = (await served.ended("echo", "one"))["run_id"]
    await served.ended("echo", "two")
    async with shown(served, size) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 2)
        await typed(app, pilot, wanted[-7:], f"Go to run {wanted}", gone="Go to workflow")
        await chosen(app, pilot)
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == wanted)


async def test_older_runs_are_found_by_their_workflow_and_by_their_input(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ksl.tui.palette.NEWEST", 1)
    by_input = (await served.ended("echo", "needle-17"))["run_id"]
    by_workflow = (await served.ended("fulfil-order", {"id": "o-1"}))["run_id"]
    await served.ended("echo", "newest")
    async with shown(served) as (app, pilot):
        await typed(app, pilot, "fulfil", f"Go to run {by_workflow}")
        await pilot.press("escape")
        await until(pilot, lambda: not is_open(app))
        await typed(app, pilot, "needle", f"Go to run {by_input}", gone="Go to workflow")
        await chosen(app, pilot)
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == by_input)


async def test_a_workflow_and_a_trigger_are_gone_to(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await typed(
            app, pilot, "workflow refund", "Go to workflow refund-approval", gone="Go to workflow echo"
        )
        await chosen(app, pilot)
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen))
        lines = app.screen.query_one("#workflows", Lines)
        await until(pilot, lambda: lines.key == "refund-approval" and lines.has_focus)
        await typed(app, pilot, "trigger orders", "Go to trigger orders", gone="Go to trigger mornings")
        await chosen(app, pilot)
        await until(pilot, lambda: isinstance(app.screen, TriggersScreen))
        lines = app.screen.query_one("#triggers", Lines)
        await until(pilot, lambda: lines.key == "orders")


async def test_a_form_that_is_open_is_not_left_behind(served: Served) -> None:
    await served.ended("echo", "one")
    async with shown(served) as (app, pilot):
        await pilot.press("n")
        await until(pilot, lambda: "Start which workflow?" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Fill))
        await typed(app, pilot, "send", "Send")
        assert "Go to" not in text_of(app)


async def test_what_no_filter_takes_finds_nothing_and_breaks_nothing(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await typed(app, pilot, 'state:"\\x(', "No matches found")
        await pilot.press("escape")
        await until(pilot, lambda: not is_open(app))
