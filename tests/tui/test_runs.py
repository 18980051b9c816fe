from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from textual.command import CommandList, CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input

from ksl.tui.dialogs import Ask
from ksl.tui.lines import Lines
from ksl.tui.run import RunScreen
from ksl.tui.runs import RunsScreen
from ksl.tui.saved_filters import SavedFilters

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
        await until(pilot, lambda: "hold" in text_of(app))
        lines = text_of(app).splitlines()

        def line(state: str) -> str:
            return next(each for each in lines if made[state][-8:] in each)

        assert "✓" in line("succeeded")
        assert "✗" in line("failed")
        assert "ship-order Carrier" in line("failed")
        assert "◷" in line("sleeping")
        assert "sleep, 23h left" in line("sleeping")
        assert "‖" in line("waiting")
        assert "hook, 2d left" in line("waiting")
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
        await until(pilot, lambda: "0 of 1 match. x clears the filter." in text_of(app))
        await pilot.press("x")
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


async def test_new_runs_come_in_above_while_nobody_has_gone_elsewhere(served: Served) -> None:
    async with shown(served, (80, 24)) as (app, pilot):
        await until(pilot, lambda: runs_of(app).loaded)
        for number in range(3):
            run_id = (await served.ended("echo", str(number)))["run_id"]
            await until(
                pilot, lambda run_id=run_id: runs_of(app).rows[:1] and runs_of(app).rows[0].run_id == run_id
            )  # type: ignore[misc]
            assert runs_of(app).query_one(Lines).scroll_offset.y == 0
        assert "to follow" not in text_of(app)


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_that_waits_for_its_next_attempt_says_which_and_when(
    served: Served, size: tuple[int, int]
) -> None:
    run_id = await served.start("unlucky")
    async with shown(served, size) as (app, pilot):
        await until(pilot, lambda: "score-lead try 2/5 in 4m" in text_of(app))
        assert f"↻ {run_id[-8:]}" in text_of(app)
        await pilot.press("slash", *"state:retrying", "enter")
        await until(pilot, lambda: runs_of(app).query_text == "state:retrying" and "1 of 1" in text_of(app))


async def test_the_time_to_the_next_attempt_counts_down(served: Served) -> None:
    await served.start("unlucky")
    now = time.time_ns() // 1_000_000
    clock = [now]
    async with shown(served, now_ms=lambda: clock[0]) as (app, pilot):
        await until(pilot, lambda: re.search("try 2/5 in [45]m", text_of(app)))
        clock[0] += 250_000
        await until(pilot, lambda: re.search(r"try 2/5 in \d\ds", text_of(app)))
        clock[0] += 60_000
        await until(pilot, lambda: "try 2/5 due" in text_of(app))


async def test_the_lines_are_put_in_order_and_what_is_chosen_stays_chosen(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == len(made))
        await pilot.press("G")
        chosen = runs_of(app).query_one(Lines).key
        for order in ("took", "workflow", "state"):
            await pilot.press("s")
            await until(pilot, lambda order=order: f"by {order}" in text_of(app))  # type: ignore[misc]
            assert runs_of(app).query_one(Lines).key == chosen
        assert [run.state for run in runs_of(app).rows] == [
            "failed", "running", "waiting", "sleeping", "succeeded",
        ]  # fmt: skip
        await pilot.press("f")
        await until(pilot, lambda: runs_of(app).rows[0].run_id == made["running"])
        assert "by state" not in text_of(app)


async def test_a_chosen_run_that_the_filter_means_no_longer_stays_until_it_is_left(served: Served) -> None:
    run_id, _ = await served.asked("refund-approval", {"id": "o-1"})
    other, _ = await served.asked("refund-approval", {"id": "o-2"})
    async with shown(served) as (app, pilot):
        await pilot.press("slash", *"state:waiting", "enter")
        await until(pilot, lambda: [run.run_id for run in runs_of(app).rows] == [other, run_id])
        await pilot.press("down")
        await served.client.post(f"/runs/{run_id}/cancel", json={})
        await until(pilot, lambda: [run.status for run in runs_of(app).rows] == ["waiting", "cancelled"])
        assert runs_of(app).query_one(Lines).key == run_id
        await until(pilot, lambda: "1 of 2" in text_of(app))
        await pilot.press("up")
        await until(pilot, lambda: [run.run_id for run in runs_of(app).rows] == [other])


async def test_a_filter_is_kept_under_a_name_gone_to_and_forgotten(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_HOME", str(tmp_path / "home"))
    made = await lived(served)
    async with shown(served, folder=tmp_path) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == len(made))
        await pilot.press("slash", *"state:failed", "enter")
        await until(pilot, lambda: len(runs_of(app).rows) == 1)
        await _command(pilot, "Save this filter")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press(*"bad ones", "enter")
        await until(pilot, lambda: "Saved the filter bad ones" in text_of(app))
        await pilot.press("X")
        await until(pilot, lambda: len(runs_of(app).rows) == len(made))
        await _command(pilot, "Filter: bad ones")
        await until(pilot, lambda: len(runs_of(app).rows) == 1)
        assert runs_of(app).query_one("#query", Input).value == "state:failed"
        await _command(pilot, "Forget the filter bad ones")
        await until(pilot, lambda: "Forgot the filter bad ones" in text_of(app))
    assert SavedFilters(str(tmp_path), tmp_path / "home").all() == {}


async def _command(pilot: Pilot[None], title: str) -> None:
    await pilot.press("ctrl+p")
    await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
    await pilot.press(*title)
    await until(pilot, lambda: _is_found(pilot, title))
    await pilot.press("enter")


def _is_found(pilot: Pilot[None], title: str) -> bool:
    """The whole title was looked for everywhere, and is what enter takes."""
    if any(worker.is_running and "gather-commands" in worker.group for worker in pilot.app.workers):
        return False
    found = pilot.app.screen.query_one(CommandList).highlighted_option
    return found is not None and str(found.prompt).startswith(title)


async def test_a_wrong_word_is_underlined_where_it_stands_and_tab_takes_a_completion(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: runs_of(app).loaded)
        await pilot.press("slash", *"wurkflow:x o-1")
        await until(pilot, lambda: "Did you mean" in text_of(app))
        box = runs_of(app).query_one("#query", Input)
        marked = [
            segment.text
            for segment in box.render_line(0)
            if segment.style is not None and segment.style.underline
        ]
        assert "".join(marked) == "wurkflow:x"
        box.value = "state:fai"
        await pilot.pause()
        await until(pilot, lambda: box._suggestion == "state:failed")  # pyright: ignore[reportPrivateUsage]
        await pilot.press("end", "tab")
        await until(pilot, lambda: box.value == "state:failed")


async def test_a_word_that_is_wrong_leaves_the_list_as_it_was(served: Served) -> None:
    await served.ended("echo", "hello")
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 1)
        await pilot.press("slash", *"state")
        await pilot.press("colon", *"nothing")
        await until(pilot, lambda: "The list is that of the filter before." in text_of(app))
        before = runs_of(app).query_text, [run.run_id for run in runs_of(app).rows]
        await pilot.pause(0.5)
        assert (runs_of(app).query_text, [run.run_id for run in runs_of(app).rows]) == before
