"""Every screen in every state that it can be found in, at three sizes of one terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ksl.tui.app import KslApp
from ksl.tui.frame import TABS
from ksl.tui.lines import Lines
from ksl.tui.run import RunScreen
from ksl.tui.workflows import WorkflowsScreen

from tests.integration.api.serving import Served, serving
from tests.tui.app import SIZES, runs_of, shown, text_of, until
from tests.tui.prepared import FAILED_EVERY, RUNS, copied, run_id_of
from tests.tui.project import fire, lived
from tests.tui.test_link import Doors, door_of


@dataclass
class Seat:
    """In front of the app: goes from screen to screen and from size to size."""

    app: KslApp
    pilot: Pilot[None]

    async def sees(
        self, tab: str, *told: str, never: str = "", sizes: Sequence[tuple[int, int]] = SIZES
    ) -> None:
        """The screen says all this, at each size."""
        if getattr(self.app.screen, "tab", "") != tab:
            await self.pilot.press(str([*TABS].index(tab) + 1))
            await until(self.pilot, lambda: getattr(self.app.screen, "tab", "") == tab)
        for size in sizes:
            await self.pilot.resize_terminal(*size)
            await until(self.pilot, lambda: all(re.search(each, text_of(self.app)) for each in told))
            self._is_whole(tab, size, never)

    async def sees_run(self, run_id: str, *told: str) -> None:
        self.app.open_run(run_id)
        await until(self.pilot, lambda: isinstance(self.app.screen, RunScreen) and self.app.screen.run_json)
        await self.sees("run", run_id, *told)

    def _is_whole(self, tab: str, size: tuple[int, int], never: str) -> None:
        lines = text_of(self.app).splitlines()
        assert len(lines) <= size[1]
        assert "Runs" in lines[0]
        assert any("Keys" in line for line in lines[-2:]), f"{tab} at {size} has no footer"
        assert not never or not re.search(never, text_of(self.app))


async def at_ease(app: KslApp, pilot: Pilot[None], met: Callable[[], object]) -> Seat:
    await until(pilot, met)
    return Seat(app, pilot)


async def test_before_anything_has_happened(served: Served) -> None:
    async with shown(served) as (app, pilot):
        seat = await at_ease(app, pilot, lambda: app.counts.get("runs") == "0")
        await seat.sees("runs", "No runs yet. Press n to start one", "ksl workflows run echo")
        await pilot.press("2")
        await until(pilot, lambda: "No run was opened yet" in text_of(app))
        await seat.sees("hooks", "Nothing waits for you")
        await seat.sees("triggers", "mornings +cron", "orders +webhook", "It has not fired yet")
        await seat.sees("workflows", "echo", "unlucky", never=r"\d%")
        await seat.sees("sessions", "No sessions|no agent|No agent")
        await seat.sees("system", "ready")


async def test_after_one_run(served: Served) -> None:
    run_id = (await served.ended("echo", "hello"))["run_id"]
    async with shown(served) as (app, pilot):
        seat = await at_ease(app, pilot, lambda: app.counts.get("runs") == "1")
        await seat.sees("runs", rf"✓ {run_id[-8:]} echo", "1 Runs 1")
        await seat.sees_run(run_id, "succeeded")
        await pilot.press("escape")
        await seat.sees("hooks", "Nothing waits for you")
        await seat.sees("workflows", "█")
        await seat.sees("system", "ready")
        await seat.sees("runs", run_id[-8:])


async def test_with_a_run_that_failed(served: Served) -> None:
    run_id = (await served.ended("fulfil-order", {"id": "o-114", "refused": 3}))["run_id"]
    async with shown(served) as (app, pilot):
        seat = await at_ease(app, pilot, lambda: app.counts.get("runs") == "1")
        await seat.sees("runs", rf"✗ {run_id[-8:]} fulfil-order", "ship-order Carrier")
        await seat.sees_run(run_id, "failed", "ship-order")
        await pilot.press("escape")
        await seat.sees("hooks", "Nothing waits for you")
        await seat.sees("triggers", "It has not fired yet")
        await pilot.press("5", "j")
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: "1 run in 24 h, 100% failed" in text_of(app))
        await seat.sees("system", "ready")


async def test_with_a_run_that_waits_for_a_person(served: Served) -> None:
    run_id, _ = await served.asked("refund-approval", {"id": "o-115"})
    async with shown(served) as (app, pilot):
        seat = await at_ease(app, pilot, lambda: app.counts.get("hooks") == "1")
        await seat.sees("runs", rf"‖ {run_id[-8:]} refund-approval", r"hook, \dd left")
        await seat.sees_run(run_id, "waiting")
        await pilot.press("escape")
        await seat.sees("hooks", r"3 Hoo\w* 1", "Refund o-115", never="Nothing waits")
        await seat.sees("workflows", "refund-approval")
        await seat.sees("system", "1 hook")


async def test_with_every_state_at_once_and_a_trigger_that_fired(served: Served) -> None:
    made = await lived(served)
    await fire(served)
    async with shown(served) as (app, pilot):
        seat = await at_ease(app, pilot, lambda: app.counts.get("runs") == "6")
        await seat.sees("runs", *(run_id[-8:] for run_id in made.values()))
        await seat.sees_run(made["running"], "running", "hold")
        await pilot.press("escape")
        await pilot.press("4", "j")
        await seat.sees("triggers", "started", "orders +webhook.*✓")


async def test_with_more_than_ten_thousand_runs(prepared: Path, tmp_path: Path) -> None:
    async with serving(copied(prepared, tmp_path)) as served, shown(served) as (app, pilot):
        seat = await at_ease(app, pilot, lambda: app.counts.get("runs") == "10k+")
        await seat.sees("runs", "1 Runs 10k\\+", run_id_of(RUNS - 1)[-8:])
        lines = runs_of(app).query_one(Lines)
        await pilot.press("G")
        await until(pilot, lambda: len(runs_of(app).rows) == 400)
        assert lines.key == run_id_of(RUNS - 200)
        await pilot.press("G")
        await until(pilot, lambda: len(runs_of(app).rows) == 600)
        assert [run.run_id for run in runs_of(app).rows] == [
            run_id_of(RUNS - 1 - place) for place in range(600)
        ]
        chosen = lines.key
        await pilot.press("s")
        await seat.sees("runs", "by took, of the newest 600 runs")
        assert lines.key == chosen
        await pilot.press("f", "slash", *"state:failed", "enter")
        failed = -(-RUNS // FAILED_EVERY)
        await seat.sees("runs", rf"{failed} of 10k\+", "press Carrier")
        await pilot.press("slash", *" nowhere", "enter")
        await seat.sees("runs", r"0 of 10k\+ match\. x clears the filter\.")
        await pilot.press("x")
        await until(pilot, lambda: len(runs_of(app).rows) == 200)
        await seat.sees_run(run_id_of(0), "failed")
        await pilot.press("escape")
        await seat.sees("hooks", "Nothing waits for you")
        await seat.sees("workflows", "echo")
        await seat.sees("system", "ready")


async def test_a_run_far_down_the_list_is_made_new_when_it_changes(prepared: Path, tmp_path: Path) -> None:
    async with serving(copied(prepared, tmp_path)) as served, shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 200)
        await pilot.press("G")
        await until(pilot, lambda: len(runs_of(app).rows) == 400)
        failed = next(run for run in runs_of(app).rows[200:] if run.status == "failed")
        lines = runs_of(app).query_one(Lines)
        lines.select(failed.run_id)
        await until(pilot, lambda: lines.key == failed.run_id)
        answer = await served.client.post(f"/runs/{failed.run_id}/retry")
        assert answer.status_code == 202, answer.text
        ended = await served.settled(failed.run_id)

        def row() -> str:
            return next(run.status for run in runs_of(app).rows if run.run_id == failed.run_id)

        await until(pilot, lambda: row() == ended["status"] != "failed")
        assert lines.key == failed.run_id


async def test_when_the_server_goes_every_screen_keeps_what_it_shows_and_says_so(folder: Path) -> None:
    async with AsyncExitStack() as serves:
        served = await serves.enter_async_context(serving(folder))
        doors = Doors(folder, served)
        made = await lived(served)
        await fire(served)
        app = KslApp(doors)
        async with app.run_test(size=SIZES[1]) as pilot:
            seat = await at_ease(app, pilot, lambda: app.counts.get("runs") == "6")
            told = {
                "runs": made["failed"][-8:],
                "hooks": "Refund o-115",
                "triggers": "mornings +cron",
                "workflows": "fulfil-order",
                "system": "ready",
            }
            for tab, text in told.items():
                await seat.sees(tab, text, sizes=SIZES[:1])
            await seat.sees_run(made["waiting"], "waiting")
            await serves.aclose()
            await until(pilot, lambda: app.link.state == "lost")
            await seat.sees("run", "lost .*, retry in", made["waiting"])
            await pilot.press("escape")
            for tab, text in told.items():
                await seat.sees(tab, "lost .*, retry in", text)
            served = await serves.enter_async_context(serving(folder))
            doors.door = door_of(served)
            await until(pilot, lambda: app.link.state == "live", turns=6_000)
            for tab, text in told.items():
                await seat.sees(tab, text, never="retry in", sizes=SIZES[:1])
            answered = await served.client.post(
                f"/runs/{made['waiting']}/hooks/reject", json={"reason": "no"}
            )
            assert answered.status_code == 200, answered.text
            await served.settled(made["waiting"])
            await seat.sees("hooks", "Nothing waits for you")
            await seat.sees("runs", rf"✗ {made['waiting'][-8:]}")


@pytest.mark.parametrize("tab", [tab for tab in TABS if tab != "run"])
async def test_a_screen_that_was_left_and_is_come_back_to_is_up_to_date(served: Served, tab: str) -> None:
    """What happens while another screen is in front is not told to it."""
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: app.counts.get("runs") == "0")
        seat = Seat(app, pilot)
        await seat.sees(tab, sizes=SIZES[:1])
        await seat.sees("system" if tab != "system" else "runs", sizes=SIZES[1:2])
        run_id, _ = await served.asked("refund-approval", {"id": "o-7"})
        await fire(served)
        told = {
            "runs": f"‖ {run_id[-8:]}",
            "hooks": "Refund o-7",
            "triggers": "orders +webhook.*✓",
            "workflows": "refund-approval",
            "system": "1 hook",
        }
        await seat.sees(tab, told.get(tab, ""), sizes=SIZES[1:2])
        if isinstance(app.screen, WorkflowsScreen):
            screen = app.screen
            await until(pilot, lambda: sum(row.shown["recent"]["runs"] for row in screen.rows) == 2)
