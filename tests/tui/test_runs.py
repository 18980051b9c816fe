from __future__ import annotations

import pytest
from textual.widgets import Input

from ksl.tui.dialogs import Ask
from ksl.tui.lines import Lines
from ksl.tui.run import RunScreen
from ksl.tui.runs import RunsScreen

from tests.integration.api.serving import Served
from tests.tui.app import SIZES, runs_of, shown, text_of, until
from tests.tui.project import lived

NOTHING_YET = "No runs yet. Press n to start one"


@pytest.mark.parametrize("size", SIZES)
async def test_before_the_first_run_it_says_how_to_start_one_of_this_project(
    served: Served, size: tuple[int, int]
) -> None:
    async with shown(served, size) as (app, pilot):
        await until(pilot, lambda: "ksl workflows run echo --input '{…}'" in text_of(app))
        assert NOTHING_YET in text_of(app)


@pytest.mark.parametrize("size", SIZES)
async def test_every_state_has_its_line_with_what_the_run_waits_for_or_failed_with(
    served: Served, size: tuple[int, int]
) -> None:
    made = await lived(served)
    async with shown(served, size) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == len(made))
        await until(pilot, lambda: "hold#0" in text_of(app))
        lines = text_of(app).splitlines()

        def line(state: str) -> str:
            return next(each for each in lines if made[state][-8:] in each)

        assert "✓" in line("succeeded")
        assert "✗" in line("failed")
        assert "ship-order#0 Carrier" in line("failed")
        assert "◷" in line("sleeping")
        assert "sleep#0, 23h left" in line("sleeping")
        assert "‖" in line("waiting")
        assert "hook#0, 2d left" in line("waiting")
        assert "●" in line("running")


async def test_a_run_that_starts_appears_and_its_end_too(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: runs_of(app).loaded)
        run_id = (await served.ended("echo", "hello"))["run_id"]
        await until(
            pilot, lambda: [(run.run_id, run.status) for run in runs_of(app).rows] == [(run_id, "succeeded")]
        )


async def test_new_runs_are_counted_while_the_cursor_is_elsewhere_and_the_chosen_run_stays_chosen(
    served: Served,
) -> None:
    for number in range(3):
        await served.ended("echo", str(number))
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 3)
        await pilot.press("down")
        chosen = runs_of(app).query_one(Lines).key
        await served.ended("echo", "new")
        await until(pilot, lambda: "1 new run: f to follow" in text_of(app))
        assert runs_of(app).query_one(Lines).key == chosen
        await pilot.press("f")
        await until(pilot, lambda: len(runs_of(app).rows) == 4)
        assert "to follow" not in text_of(app)


async def test_the_filter_is_that_of_the_cli_and_says_how_many_match(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 5)
        await pilot.press("slash", *"state:failed")
        await until(pilot, lambda: [run.run_id for run in runs_of(app).rows] == [made["failed"]])
        assert "1 of 5" in text_of(app)


async def test_a_filter_that_matches_nothing_says_so_and_how_to_leave_it(served: Served) -> None:
    await served.ended("echo", "hello")
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 1)
        await pilot.press("slash", *"state:held", "enter")
        await until(pilot, lambda: "0 of 1 match. X clears the filter." in text_of(app))
        await pilot.press("X")
        await until(pilot, lambda: len(runs_of(app).rows) == 1)


async def test_a_wrong_word_of_the_filter_is_told_where_it_stands(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: runs_of(app).loaded)
        await pilot.press("slash", *"state:failed wurkflow:x")
        await until(pilot, lambda: 'there is no filter "wurkflow:"' in text_of(app))
        assert 'Did you mean "workflow:"?' in text_of(app)


async def test_the_filter_completes_keys_states_and_slugs(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: "ksl workflows run echo" in text_of(app))
        suggester = app.screen.query_one("#query", Input).suggester
        assert suggester is not None
        assert await suggester.get_suggestion("sta") == "state:"
        assert await suggester.get_suggestion("-state:fai") == "-state:failed"
        assert await suggester.get_suggestion("took:>5s workflow:ful") == "took:>5s workflow:fulfil-order"
        assert await suggester.get_suggestion("o-118") is None


async def test_marked_runs_are_cancelled_together_after_a_question(served: Served) -> None:
    first, second = await served.start("signup"), await served.start("signup")
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 2)
        await pilot.press("x", "x", "c")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        assert "Cancel all 2 marked runs?" in text_of(app)
        assert [(await served.run(run_id))["status"] for run_id in (first, second)] != ["cancelled"] * 2
        await pilot.press("enter")
        await until(pilot, lambda: [run.status for run in runs_of(app).rows] == ["cancelled"] * 2)
        assert not runs_of(app).marked


async def test_a_question_that_is_left_changes_nothing(served: Served) -> None:
    run_id = await served.start("signup")
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 1)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert (await served.run(run_id))["status"] in ("running", "sleeping")


async def test_enter_opens_the_run_and_escape_comes_back_to_its_line(served: Served) -> None:
    await served.ended("echo", "a")
    await served.ended("echo", "b")
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 2)
        await pilot.press("down")
        chosen = runs_of(app).query_one(Lines).key
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert runs_of(app).query_one(Lines).key == chosen
