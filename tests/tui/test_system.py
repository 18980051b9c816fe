"""System: how the server is, and what it says, asked for or heard."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ksl.build.config import load_settings
from ksl.cli.doors import ProjectDoors
from ksl.tui.app import KslApp
from ksl.tui.dialogs import View
from ksl.tui.lines import Lines
from ksl.tui.run import RunScreen
from ksl.tui.server_log import KEPT, ServerLog
from ksl.tui.system import SystemScreen

from tests.integration.api.serving import Served, serving
from tests.tui.app import SIZES, shown, text_of, until
from tests.tui.project import lived


async def at_system(app: KslApp, pilot: Pilot[None]) -> SystemScreen:
    await pilot.press("7")
    await until(pilot, lambda: isinstance(app.screen, SystemScreen) and app.screen.how)
    assert isinstance(app.screen, SystemScreen)
    return app.screen


@pytest.mark.parametrize("size", SIZES)
async def test_the_servers_figures_are_there_at_every_size(served: Served, size: tuple[int, int]) -> None:
    made = await lived(served)
    async with shown(served, size) as (app, pilot):
        await at_system(app, pilot)
        await until(pilot, lambda: f"pid {os.getpid()}" in text_of(app))
        seen = text_of(app)
        assert "ready" in seen
        assert f"3 unfinished of {len(made)}" in seen
        assert "1 hook" in seen
        assert "event loop" in seen
        assert "1 run in 256 slots" in seen


async def test_a_run_that_fails_is_in_the_log_and_its_line_leads_to_it(served: Served) -> None:
    async with shown(served) as (app, pilot):
        screen = await at_system(app, pilot)
        failed = (await served.ended("fulfil-order", {"id": "o-1", "refused": 3}))["run_id"]
        await until(pilot, lambda: f"run {failed} of fulfil-order failed" in text_of(app))
        assert "following" in text_of(app)
        # A machine with too much to do may have said something of its own since.
        await pilot.press("slash", *"fulfil", "enter")
        await until(pilot, lambda: 'with "fulfil"' in text_of(app) and app.screen.query_one("#log").has_focus)
        await pilot.press("end", "enter")
        await until(pilot, lambda: isinstance(app.screen, View) and "Said at" in text_of(app))
        assert "step: ship-order#0" in text_of(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == failed)


async def test_lines_are_left_out_by_level_and_searched(served: Served) -> None:
    async with shown(served) as (app, pilot):
        served.runtime.log.tell("an ordinary line [bold]")
        served.runtime.log.tell("a disk is slow\x1b[2J", level="warning")
        served.runtime.log.tell("a disk is gone", level="error")
        await at_system(app, pilot)
        await until(pilot, lambda: "a disk is gone" in text_of(app))
        assert "an ordinary line [bold]" in text_of(app)
        assert "\x1b" not in text_of(app)
        await pilot.press("l")
        assert "ordinary" not in text_of(app)
        assert "a disk is slow" in text_of(app)
        await pilot.press("l")
        assert "a disk is slow" not in text_of(app)
        assert "a disk is gone" in text_of(app)
        await pilot.press("l", "slash", *"SLOW")
        await until(pilot, lambda: 'log: everything, with "SLOW"' in text_of(app))
        assert "gone" not in text_of(app)
        await pilot.press("x", "enter")
        assert "No line fits." in text_of(app)
        await pilot.press("escape")
        await until(pilot, lambda: "an ordinary line" in text_of(app))


async def test_who_goes_up_stays_there_until_following_again(served: Served) -> None:
    async with shown(served) as (app, pilot):
        for number in range(60):
            served.runtime.log.tell(f"line {number:02}")
        await at_system(app, pilot)
        await until(pilot, lambda: "line 59" in text_of(app))
        await pilot.press("home")
        await until(pilot, lambda: "line 00" in text_of(app) and "following" not in text_of(app))
        served.runtime.log.tell("the newest")
        lines = app.screen.query_one("#log", Lines)
        await until(pilot, lambda: len(lines.keys) > 60)
        assert lines.place == 0
        assert "line 00" in text_of(app)
        await pilot.press("f")
        await until(pilot, lambda: "the newest" in text_of(app) and "following" in text_of(app))


async def test_what_a_server_at_hand_says_is_heard_and_not_asked_for(served: Served) -> None:
    log = ServerLog()
    async with shown(served, log=log) as (app, pilot):
        served.runtime.log.tell("asked for")
        await at_system(app, pilot)
        log.tell("Changed: workflows/shop.py\nworkflows/shop.py:3 KSL101 a step in a comprehension")
        log.tell(
            '{"at": "2026-11-21T12:00:00.000Z", "level": "error", "message": "it broke", "run_id": "run_1"}'
        )
        log.tell('{"not": "a line"}')
        await until(pilot, lambda: "it broke  run_id=run_1" in text_of(app))
        assert "asked for" not in text_of(app)
        assert '{"not": "a line"}' in text_of(app)
        await pilot.press("l")
        assert "Changed:" not in text_of(app)
        assert "KSL101 a step in a comprehension" in text_of(app)


async def test_a_server_that_starts_anew_goes_on_in_the_same_log(folder: Path) -> None:
    log = ServerLog()
    async with serving(folder) as served:
        served.runtime.log.tell("of the first")
        async with shown(served) as (app, _):
            assert app.link.client is not None
            assert await log.ask(app.link.client)
            assert not await log.ask(app.link.client)
    async with serving(folder) as served:
        served.runtime.log.tell("of the second")
        async with shown(served) as (app, _):
            assert app.link.client is not None
            assert await log.ask(app.link.client)
    said = [line["message"] for line in log.lines if "of the" in line["message"]]
    assert said == ["of the first", "of the second"]


async def test_what_was_dropped_before_it_was_asked_for_is_counted(served: Served) -> None:
    log = ServerLog()
    async with shown(served) as (app, _):
        assert app.link.client is not None
        served.runtime.log.tell("the first")
        await log.ask(app.link.client)
        for number in range(KEPT + 3):
            served.runtime.log.tell(f"line {number}")
        await log.ask(app.link.client)
    assert f"line {KEPT + 2}" in [line["message"] for line in log.lines]
    assert len(log.lines) == KEPT
    assert log.first >= 2  # "the first", and the word of the three that were dropped, made way
    assert log.line(1) is None


async def test_without_a_server_the_database_is_measured(folder: Path) -> None:
    async with serving(folder) as served:
        await served.ended("echo", "hello")
    doors = ProjectDoors(load_settings(folder))
    app = KslApp(doors)
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.link.state == "stored")
            await at_system(app, pilot)
            await until(pilot, lambda: "0 unfinished of 1" in text_of(app))
            seen = text_of(app)
            assert "none: the database is shown, read-only" in seen
            assert "pid" not in seen
            assert "No server runs." in seen
    finally:
        await doors.aclose()
