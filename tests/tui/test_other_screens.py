"""Triggers, workflows, sessions, system; tiny terminals; ASCII."""

from __future__ import annotations

import json

import pytest
from textual.widgets import Input

from ksl.tui.dialogs import Ask, Fill
from ksl.tui.lines import Lines
from ksl.tui.run import RunScreen
from ksl.tui.triggers import TriggersScreen
from ksl.tui.workflows import WorkflowsScreen

from tests.integration.api.serving import Served
from tests.tui.app import SIZES, runs_of, shown, text_of, until
from tests.tui.project import fire, lived


@pytest.mark.parametrize("size", SIZES)
async def test_triggers_tell_when_they_fire_next_and_what_came_of_the_last_times(
    served: Served, size: tuple[int, int]
) -> None:
    await fire(served)
    async with shown(served, size) as (app, pilot):
        await pilot.press("4")
        await until(
            pilot, lambda: isinstance(app.screen, TriggersScreen) and "0 9 * * mon-fri" in text_of(app)
        )
        lines = text_of(app).splitlines()
        assert any("mornings" in line and "cron" in line and "in " in line for line in lines)
        await pilot.press("j")
        await until(pilot, lambda: "/triggers/orders" in text_of(app))
        assert "started" in text_of(app)


async def test_a_webhook_is_fired_with_a_payload_from_a_form(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, TriggersScreen) and app.screen.triggers)
        await pilot.press("j", "t")
        await until(pilot, lambda: isinstance(app.screen, Fill))
        app.screen.query(Input).first().value = "o-9"
        await pilot.press("ctrl+s")
        await until(
            pilot, lambda: isinstance(app.screen, TriggersScreen) and "orders: started, 1 run" in text_of(app)
        )
        firings = (await served.client.get("/triggers/orders/runs")).json()["firings"]
        assert firings[0]["payload"]["id"] == "o-9"


async def test_a_cron_source_shows_its_payload_before_it_is_fired_and_can_be_paused(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, TriggersScreen) and app.screen.triggers)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, Ask) and "Its payload:" in text_of(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, TriggersScreen))
        await pilot.press("space")
        await until(pilot, lambda: "paused" in text_of(app))
        assert not (await served.client.get("/triggers/mornings")).json()["enabled"]


@pytest.mark.parametrize("size", SIZES)
async def test_a_workflow_is_drawn_and_its_source_follows_the_cursor(
    served: Served, size: tuple[int, int]
) -> None:
    async with shown(served, size) as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen) and app.screen.canvas)
        assert isinstance(app.screen, WorkflowsScreen)
        screen = app.screen
        await pilot.press("j")
        await until(pilot, lambda: screen.canvas and screen.canvas["workflow"] == "fulfil-order")
        await pilot.press("enter", "j")
        await until(pilot, lambda: "▸ charge-card" in text_of(app))
        source = screen.query_one("#source", Lines)
        await until(pilot, lambda: "charge_card.run(" in source.paint(source.place))


async def test_a_run_is_started_from_a_form(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen) and app.screen.workflows)
        await pilot.press("j", "n")
        await until(pilot, lambda: isinstance(app.screen, Fill))
        app.screen.query(Input).first().value = "o-7"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
        assert isinstance(app.screen, RunScreen)
        assert (await served.run(app.screen.run_id))["input"]["id"] == "o-7"


async def test_a_workflow_without_input_asks_for_none(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen) and app.screen.workflows)
        await pilot.press("G", "n")
        await until(pilot, lambda: "It takes no input." in text_of(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)


async def test_a_tiny_terminal_has_the_list_alone(served: Served) -> None:
    made = await lived(served)
    async with shown(served, (50, 12)) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == len(made))
        assert "live" not in text_of(app)
        assert all(run_id[-8:] in text_of(app) for run_id in made.values())


async def test_ascii_draws_with_ascii_alone(served: Served) -> None:
    made = await lived(served)
    await fire(served)
    async with shown(served, ascii=True) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == len(made) + 1)
        for key in ("enter", "3", "4", "5", "6", "7"):
            await pilot.press(key)
            await pilot.pause(0.3)
            seen = text_of(app)
            assert seen.isascii(), json.dumps(seen)


async def test_no_colour_leaves_the_signs(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    made = await lived(served)
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == len(made))
        assert all(sign in text_of(app) for sign in "✓✗◷‖●")
