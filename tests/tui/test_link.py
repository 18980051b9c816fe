"""What happens when the server goes, comes back, was never there, or storms."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from ksl.build.config import load_settings
from ksl.cli.doors import ProjectDoors
from ksl.tui.app import KslApp
from ksl.tui.client import Client, Door, Refused
from ksl.tui.lines import Lines
from ksl.tui.link import Change, Link

from tests.integration.api.serving import Served, serving
from tests.tui.app import runs_of, text_of, until
from tests.tui.project import lived


class Doors:
    """Of a server in this process, which leaves no sign for others in the folder; else of the folder's database."""

    def __init__(self, folder: Path, served: Served | None = None) -> None:
        self._stored = ProjectDoors(load_settings(folder))
        self.door = None if served is None else door_of(served)

    async def find(self) -> Door:
        return self.door or await self._stored.find()

    async def aclose(self) -> None:
        await self._stored.aclose()


def door_of(served: Served) -> Door:
    return Door(served.url, served.runtime.token)


async def test_a_server_that_goes_is_told_with_what_is_shown_kept_and_it_comes_back(folder: Path) -> None:
    async with AsyncExitStack() as serves:
        served = await serves.enter_async_context(serving(folder))
        doors = Doors(folder, served)
        run_id = (await served.ended("echo", "kept"))["run_id"]
        app = KslApp(doors)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.link.state == "live" and len(runs_of(app).rows) == 1)
            await serves.aclose()
            await until(pilot, lambda: app.link.state == "lost")
            assert f"lost {app.link.name}, retry in" in text_of(app)
            assert run_id[-8:] in text_of(app)
            served = await serves.enter_async_context(serving(folder))
            doors.door = door_of(served)
            await until(pilot, lambda: app.link.state == "live", turns=6_000)
            assert "lost" not in text_of(app)
            await served.ended("echo", "new")
            await until(pilot, lambda: len(runs_of(app).rows) == 2)


async def test_without_a_server_the_database_is_shown_and_nothing_can_be_changed(folder: Path) -> None:
    async with serving(folder) as served:
        made = await lived(served)
    doors = ProjectDoors(load_settings(folder))
    before = (folder / ".ksl" / "ksl.db").read_bytes()
    app = KslApp(doors)
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.link.state == "stored" and len(runs_of(app).rows) == len(made))
            assert "no engine runs: showing the database, read-only" in text_of(app)
            assert app.link.client is not None
            with pytest.raises(Refused, match="No server runs"):
                await app.link.client.post(f"/runs/{made['waiting']}/cancel")
            app.open_run(made["failed"])
            await until(pilot, lambda: "✗ ▸ ship-order" in text_of(app))
    finally:
        await doors.aclose()
    assert (folder / ".ksl" / "ksl.db").read_bytes() == before


async def test_a_door_to_the_database_refuses_changes_behind_the_client_as_well(folder: Path) -> None:
    async with serving(folder) as served:
        run_id = await served.start("signup")
    doors = ProjectDoors(load_settings(folder))
    try:
        door = await doors.find()
        async with httpx.AsyncClient(transport=door.transport, base_url=door.url) as stranger:
            answer = await stranger.post(
                f"/runs/{run_id}/cancel", headers={"Authorization": f"Bearer {door.token}"}
            )
        assert answer.status_code >= 500
    finally:
        await doors.aclose()


async def test_it_goes_over_to_a_server_as_soon_as_one_starts(folder: Path) -> None:
    doors = Doors(folder)
    app = KslApp(doors)
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.link.state == "stored" and "No runs yet" in text_of(app))
            async with serving(folder) as served:
                doors.door = door_of(served)
                await until(pilot, lambda: app.link.state == "live", turns=6_000)
                assert "read-only" not in text_of(app)
                await served.ended("echo", "hello")
                await until(pilot, lambda: len(runs_of(app).rows) == 1)
    finally:
        await doors.aclose()


async def test_the_link_goes_on_after_the_last_event_that_it_had(folder: Path) -> None:
    seen: list[Change] = []
    async with serving(folder) as served:
        door = door_of(served)
        link = Link(Doors(folder, served), changed=seen.extend, told=lambda: None)
        linked = asyncio.create_task(link.run())
        while link.state != "live":
            await asyncio.sleep(0.01)
        first = (await served.ended("echo", "one"))["run_id"]
        while not any(change.type == "run_completed" for change in seen):
            await asyncio.sleep(0.01)
        assert link.client is not None
        client = Client(door)
        stream = client.stream("/stream", 0)
        events = [await anext(stream) for _ in range(3)]
        await stream.aclose()
        await client.aclose()
        linked.cancel()
        await asyncio.gather(linked, return_exceptions=True)
    assert events[0] == (None, b"")
    assert [change.run_id for change in seen] == [first] * len(seen)
    assert [id for id, _ in events[1:]] == [1, 2]


async def test_two_thousand_events_a_second_leave_keys_their_effect(folder: Path) -> None:
    """What a key takes meanwhile is measured by `python -m bench`; here it is that nothing is lost or stands still."""
    async with serving(folder) as served:
        for number in range(30):
            await served.ended("echo", str(number))
        app = KslApp(Doors(folder, served))
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: len(runs_of(app).rows) == 30)
            storm = [asyncio.create_task(served.ended("many", 400)) for _ in range(4)]
            lines = runs_of(app).query_one(Lines)
            for place in range(1, 6):
                await pilot.press("down")
                await until(pilot, lambda place=place: lines.place == place or app.link.state != "live")  # type: ignore[misc]
            chosen = lines.key
            ended = await asyncio.gather(*storm)
            await until(pilot, lambda: len(runs_of(app).unseen) == 4)
            assert lines.key == chosen
            await pilot.press("f")
            await until(pilot, lambda: [run.status for run in runs_of(app).rows[:4]] == ["succeeded"] * 4)
            assert {run["run_id"] for run in ended} == {run.run_id for run in runs_of(app).rows[:4]}


async def test_a_database_that_cannot_be_opened_is_told_in_its_own_words(folder: Path) -> None:
    (folder / ".ksl").mkdir()
    (folder / ".ksl" / "ksl.db").write_bytes(b"this is no database, and was never one" * 100)
    doors = Doors(folder)
    app = KslApp(doors)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "KSL5" in text_of(app))
    await doors.aclose()
