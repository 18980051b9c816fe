"""Keys that come faster than the screens can follow land where whoever typed them meant them to."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.keys import key_to_character
from textual.widgets import Input

from ksl.tui.app import KslApp
from ksl.tui.dialogs import Choose, Fill
from ksl.tui.hooks import HooksScreen
from ksl.tui.lines import Lines
from ksl.tui.run import RunScreen

from tests.integration.api.serving import Served
from tests.tui.app import runs_of, shown, text_of, until


def type_at_once(app: KslApp, *keys: str) -> None:
    """All before the first has had any effect."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else key_to_character(key)))


def texts(app: KslApp) -> list[str]:
    return [each.value for each in app.screen.query(Input).results()]


async def test_letters_behind_tab_land_in_the_next_field(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: app.screen.query("#workflows"))
        await until(pilot, lambda: "fulfil-order" in text_of(app))
        await pilot.press("j", "n")
        await until(pilot, lambda: isinstance(app.screen, Fill))
        type_at_once(app, *"o-1", "tab", *"99", "tab", *"3", "shift+tab", "shift+tab", "end", *"23")
        await until(pilot, lambda: texts(app) == ["o-123", "99", "3"])


async def test_what_is_typed_last_is_sent_as_well(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: "fulfil-order" in text_of(app))
        await pilot.press("j", "n")
        await until(pilot, lambda: isinstance(app.screen, Fill))
        type_at_once(app, *"o-1234567890", "ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
        assert isinstance(app.screen, RunScreen)
        assert (await served.run(app.screen.run_id))["input"]["id"] == "o-1234567890"


async def test_a_run_is_started_with_all_keys_at_once(served: Served) -> None:
    """From the list of runs, over the choice of the workflow and its form, into the run."""
    await served.ended("echo", "one")
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 1)
        type_at_once(app, "n", "j", "enter", *"o-77", "ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
        assert isinstance(app.screen, RunScreen)
        run: dict[str, Any] = await served.run(app.screen.run_id)
        assert (run["workflow"], run["input"]["id"]) == ("fulfil-order", "o-77")


async def test_keys_behind_a_change_of_screens_are_the_new_screens(served: Served) -> None:
    for number in range(3):
        await served.ended("echo", str(number))
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 3)
        type_at_once(app, "5", "question_mark", "escape", "1", "j", "j")
        lines = runs_of(app).query_one("#runs", Lines)
        await until(pilot, lambda: lines.place == 2)
        assert app.focused is lines


async def test_a_hook_is_answered_with_all_keys_at_once(served: Served) -> None:
    run_id, _ = await served.asked("refund-approval", {"id": "o-115"})
    async with shown(served) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, HooksScreen) and app.screen.form)
        type_at_once(
            app, "enter", "y", "tab", "enter", "down", "enter", "tab", *"1200", "tab", *"Bonn", "ctrl+s"
        )
        await until(pilot, lambda: "Nothing waits for you" in text_of(app))
        run = await served.settled(run_id)
        assert run["output"] in ("o-115: reserved low", "o-115: reserved high")


async def test_a_form_that_does_not_come_gives_the_keys_back(served: Served) -> None:
    await served.ended("echo", "one")
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 1)
        hold = app.hold_keys()
        type_at_once(app, "question_mark")
        await pilot.pause()
        assert "Keys here" not in text_of(app)
        hold.release()
        await until(pilot, lambda: "Keys here" in text_of(app))


async def test_the_dialog_of_a_choice_answers_once(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, Choose))
        type_at_once(app, "escape", "escape")
        await until(pilot, lambda: not isinstance(app.screen, Choose))
        await pilot.pause()
        assert runs_of(app)
