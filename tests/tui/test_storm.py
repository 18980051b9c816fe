"""Two thousand events a second, from a server in a process of its own: nothing is lost, nothing moves by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from textual.pilot import Pilot

from ksl.tui.app import KslApp
from ksl.tui.client import Door
from ksl.tui.frame import TABS
from ksl.tui.lines import Lines
from ksl.tui.link import Change
from ksl.tui.run import RunScreen

from bench.served import Server
from tests.tui.app import SIZES, OneDoor, runs_of, until
from tests.tui.prepared import RUNS, copied, run_id_of

pytestmark = [pytest.mark.process]

STORM = '''
"""As many events as the log takes."""

import asyncio

from ksl import workflow

from workflows.shop import press


@workflow(slug="storm")
async def storm(steps: int) -> int:
    return len(await asyncio.gather(*[press.run(key=str(number)) for number in range(steps)]))
'''
STEPS = 1_000
AT_ONCE = 6  # so many runs: their events come as fast as the server writes them


class Watched(KslApp):
    """Counts what reaches the screens."""

    def __init__(self, door: Door) -> None:
        super().__init__(OneDoor(door))
        self.seen: Counter[str] = Counter()

    def _changed(self, changes: list[Change]) -> None:
        self.seen.update(change.run_id for change in changes)
        super()._changed(changes)


async def test_a_storm_loses_nothing_and_moves_nothing(prepared: Path, tmp_path: Path) -> None:
    folder = copied(prepared, tmp_path)
    (folder / "workflows" / "storm.py").write_text(STORM.lstrip())
    with Server(folder) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        async with httpx.AsyncClient(
            base_url=server.url, headers=headers, timeout=60, trust_env=False
        ) as client:
            app = Watched(Door(server.url, server.token))
            async with app.run_test(size=SIZES[1]) as pilot:
                await until(pilot, lambda: app.link.state == "live" and len(runs_of(app).rows) == 200)
                chosen = await _chosen(app, pilot)
                storm = asyncio.create_task(_storm(client))
                await until(pilot, lambda: app.seen)
                await _round(app, pilot)
                assert runs_of(app).query_one(Lines).key == chosen
                made = await storm
                await until(pilot, lambda: all(app.seen[run["run_id"]] == run["seq"] for run in made))
                assert set(app.seen) == {run["run_id"] for run in made}
                assert runs_of(app).query_one(Lines).key == chosen
                await until(pilot, lambda: len(runs_of(app).unseen) == AT_ONCE)
                await pilot.press("f")
                newest = {run["run_id"] for run in made}
                await until(pilot, lambda: _ended(app) == dict.fromkeys(newest, "succeeded"))
                await until(pilot, lambda: app.counts.get("runs") == "10k+")
                await _ends_true(app, pilot, made[0])


async def _chosen(app: KslApp, pilot: Pilot[None]) -> str:
    """A line somewhere down the list."""
    lines = runs_of(app).query_one(Lines)
    lines.select(run_id_of(RUNS - 40))
    await until(pilot, lambda: lines.key == run_id_of(RUNS - 40))
    return run_id_of(RUNS - 40)


async def _storm(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Runs side by side; each with the number of its events."""
    answers = await asyncio.gather(
        *(client.post("/workflows/storm?wait=60s", json=STEPS) for _ in range(AT_ONCE))
    )
    runs: list[dict[str, Any]] = [answer.json() for answer in answers]
    for run in runs:
        assert run["status"] == "succeeded", run
        run["seq"] = STEPS + 3  # created, started, completed
    return runs


async def _round(app: KslApp, pilot: Pilot[None]) -> None:
    """Through all screens, at all sizes, while it storms; back on the first."""
    for size in SIZES:
        await pilot.resize_terminal(*size)
        for place, tab in enumerate(TABS, 1):
            if tab != "run":
                await pilot.press(str(place))
                await until(pilot, lambda tab=tab: getattr(app.screen, "tab", "") == tab)  # type: ignore[misc]
    await pilot.press("1")
    await until(pilot, lambda: getattr(app.screen, "tab", "") == "runs")


def _ended(app: KslApp) -> dict[str, str]:
    return {run.run_id: run.status for run in runs_of(app).rows[:AT_ONCE]}


async def _ends_true(app: KslApp, pilot: Pilot[None], run: dict[str, Any]) -> None:
    """The screen of a run of the storm shows it as it ended."""
    app.open_run(run["run_id"])
    await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
    assert isinstance(app.screen, RunScreen)
    screen = app.screen
    await until(pilot, lambda: (screen.run_json or {}).get("status") == "succeeded")
    assert len((screen.run_json or {})["steps"]) == STEPS


async def test_a_run_that_is_watched_in_a_storm_ends_as_it_did(prepared: Path, tmp_path: Path) -> None:
    folder = copied(prepared, tmp_path)
    (folder / "workflows" / "storm.py").write_text(STORM.lstrip())
    with Server(folder) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        async with httpx.AsyncClient(
            base_url=server.url, headers=headers, timeout=60, trust_env=False
        ) as client:
            app = Watched(Door(server.url, server.token))
            async with app.run_test(size=SIZES[1]) as pilot:
                await until(pilot, lambda: app.link.state == "live")
                run_id = (await client.post("/workflows/storm", json=STEPS)).json()["run_id"]
                storm = asyncio.create_task(_storm(client))
                app.open_run(run_id)
                for size in SIZES:
                    await pilot.resize_terminal(*size)
                    await pilot.press("down", "tab", "down")
                await storm
                await until(
                    pilot,
                    lambda: (
                        isinstance(app.screen, RunScreen)
                        and (app.screen.run_json or {}).get("status") == "succeeded"
                    ),
                )
                assert isinstance(app.screen, RunScreen)
                assert len((app.screen.run_json or {})["steps"]) == STEPS
