from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ksl.tui.app import KslApp
from ksl.tui.dialogs import Fill, View
from ksl.tui.lines import Lines
from ksl.tui.run import RunScreen

from tests.integration.api.serving import Served
from tests.tui.app import SIZES, shown, text_of, until
from tests.tui.project import lived


async def opened(app: KslApp, pilot: Pilot[None], run_id: str) -> RunScreen:
    app.open_run(run_id)
    await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
    assert isinstance(app.screen, RunScreen)
    return app.screen


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", ["succeeded", "failed", "sleeping", "waiting", "running"])
async def test_a_run_in_every_state_shows_its_canvas_and_its_state(
    served: Served, size: tuple[int, int], state: str
) -> None:
    made = await lived(served)
    async with shown(served, size) as (app, pilot):
        await opened(app, pilot, made[state])
        await until(pilot, lambda: f" {state} " in text_of(app).splitlines()[1])
        shown_ = text_of(app)
        assert made[state] in shown_
        steps = {"sleeping": "sleep", "running": "hold", "waiting": "hook"}
        assert steps.get(state, "ship-order") in shown_


async def test_the_timeline_has_a_bar_for_each_attempt_and_hatches_what_lies_between(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        await opened(app, pilot, made["failed"])
        await until(pilot, lambda: "ship-order#0 try 3" in text_of(app))
        timeline = app.screen.query_one("#timeline", Lines)
        tries = [timeline.paint(place, 100) for place in range(5)]
        assert [line.split("  ")[0] for line in tries] == [
            "reserve-stock#0",
            "charge-card#0",
            *(f"ship-order#0 try {number}" for number in (1, 2, 3)),
        ]
        assert all("✗" in line for line in tries[2:])
        assert ["░" in line for line in tries] == [False, False, False, True, True]


async def test_e_goes_to_the_failure_with_the_authors_line_first(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        screen = await opened(app, pilot, made["failed"])
        await pilot.press("e")
        await until(pilot, lambda: screen.selected == "ship-order#0")
        inspected = app.screen.query_one("#inspect", Lines)
        told = [inspected.paint(place) for place in range(len(inspected.keys))]
        assert told[0] == "Carrier: carrier API refused (503)"
        assert told[1] == "after 3 attempts"
        assert "workflows/shop.py:" in told[3]
        assert told[4] == '    raise Carrier("carrier API refused (503)")'


async def test_one_selection_is_shared_by_canvas_timeline_and_inspector(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        screen = await opened(app, pilot, made["failed"])
        await pilot.press("j", "j")
        await until(pilot, lambda: screen.selected == "ship-order#0")
        assert screen.query_one("#timeline", Lines).key == "ship-order#0@2"
        await pilot.press("tab", "k")
        await until(pilot, lambda: screen.selected == "charge-card#0")
        assert screen.query_one("#canvas", Lines).key == "charge-card"
        assert "charge-card#0  succeeded" in text_of(app)


async def test_h_leaves_what_is_not_simply_done(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        screen = await opened(app, pilot, made["failed"])
        await pilot.press("h")
        await until(pilot, lambda: len(screen.timeline.rows) == 3)
        assert {row.key for row in screen.timeline.rows} == {"ship-order#0"}


async def test_v_draws_boxes_where_they_fit_and_says_so_where_they_do_not(served: Served) -> None:
    made = await lived(served)
    async with shown(served, (200, 60)) as (app, pilot):
        await opened(app, pilot, made["failed"])
        await pilot.press("v")
        await until(pilot, lambda: "╭─────────────────╮" in text_of(app))
    async with shown(served, (100, 30)) as (app, pilot):
        await opened(app, pilot, made["failed"])
        await pilot.press("v")
        await until(pilot, lambda: "need a wider pane" in text_of(app))
        assert "├╌ on ValueError" in text_of(app)


async def test_a_run_is_stepped_back_through_with_its_source_and_its_variables(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        screen = await opened(app, pilot, made["failed"])
        await pilot.press("d")
        await until(pilot, lambda: screen.inspector.position)
        assert screen.inspector.position is not None
        last = screen.inspector.position["last_seq"]
        for seq in range(last - 1, 2, -1):
            await pilot.press("p")
            await until(
                pilot, lambda seq=seq: screen.inspector.position and screen.inspector.position["seq"] == seq
            )
        await until(pilot, lambda: "reserved = 'o-114: reserved'" in text_of(app))
        assert not re.search(r"paid +=", text_of(app).replace("paid = await", ""))
        assert "charge_card.run(" in text_of(app)


async def test_a_run_goes_on_before_the_eyes(served: Served) -> None:
    run_id, _ = await served.asked("refund-approval", {"id": "o-1"})
    async with shown(served) as (app, pilot):
        await opened(app, pilot, run_id)
        await until(pilot, lambda: "◌ ‖ hook" in text_of(app))
        answer = {"approved": True, "level": "low", "cents": 1, "to": {"city": "Bonn"}}
        await served.client.post(f"/runs/{run_id}/hooks/resume", json={"payload": answer})
        await until(pilot, lambda: "✓ succeeded" in text_of(app) and "✓ ▸ press" in text_of(app))


async def test_below_ninety_columns_panes_are_tabs(served: Served) -> None:
    made = await lived(served)
    async with shown(served, (80, 24)) as (app, pilot):
        await opened(app, pilot, made["failed"])
        panes = [app.screen.query_one(f"#{name}-pane") for name in ("canvas", "timeline", "inspect")]
        assert [pane.display for pane in panes] == [True, False, False]
        await pilot.press("tab")
        assert [pane.display for pane in panes] == [False, True, False]
        await pilot.press("tab")
        assert [pane.display for pane in panes] == [False, False, True]


async def test_a_long_value_is_cut_and_shown_whole_on_enter(served: Served) -> None:
    run_id = (await served.ended("echo", "\n".join(f"line {number}" for number in range(100))))["run_id"]
    async with shown(served) as (app, pilot):
        screen = await opened(app, pilot, run_id)
        inspected = screen.query_one("#inspect", Lines)
        await until(pilot, lambda: "… 60 more lines: enter shows all" in inspected.paint(40))
        await pilot.press("tab", "tab")
        await until(pilot, lambda: inspected.has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, View))
        assert isinstance(app.screen, View)
        assert app.screen.shown[99] == "line 99"
        await pilot.press("slash", *"line 77", "enter")
        await until(pilot, lambda: app.screen.query_one("#text", Lines).place == 77)


async def test_a_run_of_many_steps_is_one_row_for_each_place_in_the_code(served: Served) -> None:
    run_id = (await served.ended("many", 600))["run_id"]
    async with shown(served) as (app, pilot):
        screen = await opened(app, pilot, run_id)
        await until(pilot, lambda: [row.label for row in screen.timeline.rows] == ["press (600)"])


async def test_a_run_that_retention_removed_says_so_and_stays_to_be_read(served: Served) -> None:
    run_id = (await served.ended("echo", "hello"))["run_id"]
    async with shown(served) as (app, pilot):
        screen = await opened(app, pilot, run_id)
        await served.client.post("/prune", json={"older_than": 0})
        screen.reload()
        await until(pilot, lambda: "was removed by retention" in text_of(app))
        assert "press#0" in text_of(app)


async def test_a_sleep_is_woken_after_a_yes(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        await opened(app, pilot, made["sleeping"])
        await until(pilot, lambda: re.search(r"◷ sleep#0 2[34]h left", text_of(app)))
        await pilot.press("W")
        await until(pilot, lambda: "Wake sleep#0 now?" in text_of(app))
        await pilot.press("y")
        await until(pilot, lambda: "✓ succeeded" in text_of(app))
    run = await served.run(made["sleeping"], "events")
    assert [e["meta"] for e in run["events"] if e["type"] == "sleep_completed"] == [{"by": "api"}]


async def test_where_no_sleep_waits_nothing_is_asked(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        await opened(app, pilot, made["waiting"])
        await pilot.press("W")
        await until(pilot, lambda: "No sleep of this run waits." in text_of(app))


async def test_what_a_run_waits_for_is_told_below_its_name(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        await opened(app, pilot, made["waiting"])
        await until(pilot, lambda: re.search(r"‖ hook#0 7[12]h left|‖ hook#0 [23]d left", text_of(app)))


async def test_the_next_attempt_of_a_step_counts_down(served: Served) -> None:
    run_id = await served.start("stubborn")
    async with shown(served) as (app, pilot):
        await opened(app, pilot, run_id)
        await until(pilot, lambda: re.search(r"↻ knock#0 try 2 of 4 in \d+[smh]", text_of(app)))


async def test_events_are_left_that_have_the_words_typed_and_written_to_a_file(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await lived(served)
    monkeypatch.chdir(tmp_path)
    async with shown(served) as (app, pilot):
        screen = await opened(app, pilot, made["failed"])
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(pilot, lambda: screen.inspector.tab == "events")
        await pilot.press("slash", *"retrying ship")
        await until(pilot, lambda: screen.inspector.lines.paint(0) == "2 of 8 events")
        assert "step_retrying" in screen.inspector.lines.paint(1)
        await pilot.press("escape")
        await until(pilot, lambda: len(screen.inspector.lines.keys) == 8)
        assert isinstance(app.screen, RunScreen)
        await pilot.press("w")
        await until(pilot, lambda: "8 events written" in text_of(app))
    written = json.loads((tmp_path / f"{made['failed']}-events.json").read_text())
    assert [event["seq"] for event in written] == list(range(1, 9))


async def test_running_again_from_a_step_says_which_steps_run_again(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        screen = await opened(app, pilot, made["failed"])
        await pilot.press("j")
        await until(pilot, lambda: screen.selected == "charge-card#0")
        await pilot.press("R")
        await until(pilot, lambda: "These run again: charge-card#0, ship-order#0" in text_of(app))


async def test_a_run_that_is_run_again_leads_to_the_new_one_and_each_names_the_other(served: Served) -> None:
    made = await lived(served)
    async with shown(served) as (app, pilot):
        await opened(app, pilot, made["failed"])
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Fill))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id != made["failed"])
        assert isinstance(app.screen, RunScreen)
        run = await served.run(app.screen.run_id)
        assert (run["trigger"], run["forked_from"]) == ("retry", made["failed"])


async def test_search_goes_on_and_back_through_a_long_value(served: Served) -> None:
    run_id = (await served.ended("echo", "\n".join(f"line {number}" for number in range(100))))["run_id"]
    async with shown(served) as (app, pilot):
        await opened(app, pilot, run_id)
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(app.screen, View) and app.screen.query_one("#search").has_focus)
        await pilot.press(*"7", "enter")
        lines = app.screen.query_one("#text", Lines)
        await until(pilot, lambda: lines.place == 7)
        await pilot.press("n", "n")
        await until(pilot, lambda: lines.place == 27)
        await pilot.press("N")
        await until(pilot, lambda: lines.place == 17)
