"""The terminal's screens: how soon ten thousand runs are there, and what a key takes while events storm."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from time import perf_counter

import httpx
from textual import events

from ksl.build.discover import discover
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change
from ksl.records import Event, Meta, RunRow, RunStatus
from ksl.tui.app import KslApp
from ksl.tui.client import Door
from ksl.tui.lines import Lines
from ksl.tui.link import Change as Seen
from ksl.tui.runs import RunsScreen

from bench import engine
from bench.rows import Place, Row, Sample, at_most, p50
from bench.served import Server

_SIZE = (120, 40)
_KEYS = 100
_PUSHED = 1_000  # steps in each run of the storm
_EVERY_S = 0.5


class _Doors:
    def __init__(self, server: Server) -> None:
        self._door = Door(server.url, server.token)

    async def find(self) -> Door:
        return self._door


class _Counting(KslApp):
    seen = 0

    def _changed(self, changes: list[Seen]) -> None:
        self.seen += len(changes)
        super()._changed(changes)


def _opening(place: Place) -> Sample:
    folder = engine.make_project(place)
    asyncio.run(_write_ended(folder, place.size(10_000)))
    with Server(folder) as server:

        async def measurement() -> tuple[float, float]:
            app = KslApp(_Doors(server))
            began, began_cpu = perf_counter(), time.process_time()
            async with app.run_test(size=_SIZE):
                while not (isinstance(app.screen, RunsScreen) and app.screen.rows):
                    await asyncio.sleep(0.001)
                painted = asyncio.Event()
                app.screen.call_after_refresh(painted.set)
                await painted.wait()
                return (perf_counter() - began) * 1000, (time.process_time() - began_cpu) * 1000

        took_ms, cpu_ms = asyncio.run(measurement())
        return Sample(took_ms, {"of it on the processor": (cpu_ms, "ms")})


def _key(place: Place) -> Sample:
    folder = engine.make_project(place)
    asyncio.run(_write_ended(folder, place.size(10_000)))
    with Server(folder) as server:
        took, per_s = asyncio.run(_in_a_storm(server))
    ordered = sorted(took)
    beside = {"median": (p50(took), "ms"), "events": (per_s, "/s")}
    return Sample(ordered[int(len(ordered) * 0.95)], beside)


async def _in_a_storm(server: Server) -> tuple[list[float], float]:
    """Milliseconds from each key to the screen painted with what it did, and the events that came meanwhile."""
    app = _Counting(_Doors(server))
    took: list[float] = []
    async with app.run_test(size=_SIZE):
        while not (isinstance(app.screen, RunsScreen) and app.screen.rows):
            await asyncio.sleep(0.001)
        storm = asyncio.create_task(_push(server))
        while not app.seen:
            await asyncio.sleep(0.01)
        before, began_all = app.seen, perf_counter()
        lines = app.screen.query_one(Lines)
        for _ in range(_KEYS):
            place = lines.place
            painted = asyncio.Event()
            began = perf_counter()
            app.post_message(events.Key("down", None))
            while lines.place == place:
                await asyncio.sleep(0)
            lines.call_after_refresh(painted.set)
            await painted.wait()
            took.append((perf_counter() - began) * 1000)
            await asyncio.sleep(0.03)
        per_s = (app.seen - before) / (perf_counter() - began_all)
        storm.cancel()
        await asyncio.gather(storm, return_exceptions=True)
    return took, per_s


async def _push(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as client:
        while True:
            (await client.post("/workflows/parallel", json=_PUSHED)).raise_for_status()
            await asyncio.sleep(_EVERY_S)


async def _write_ended(folder: Path, count: int) -> None:
    """Runs that ended, as the workflow `sequential` leaves them."""
    version = discover(folder).code_version("sequential")
    store = await SqliteStore.open(folder / ".ksl" / "ksl.db", durability="process")
    now_ms = time.time_ns() // 1_000_000
    for n in range(count):
        run_id, at_ms = f"run_{n:020}", now_ms - (count - n) * 1_000
        row = RunRow(
            run_id=run_id,
            workflow="sequential",
            status=RunStatus.SUCCEEDED,
            trigger="api",
            triggered_at_ms=at_ms,
            created_at_ms=at_ms,
            seq=3,
            started_at_ms=at_ms,
            finished_at_ms=at_ms + 40,
            code_version=version,
        )
        happened = [
            Event(run_id, 1, "run_created", None, at_ms, b"0", None, Meta()),
            Event(run_id, 2, "run_started", None, at_ms, None, None, Meta(attempt=1)),
            Event(run_id, 3, "run_completed", None, at_ms + 40, b"0.0", None, Meta(attempt=1)),
        ]
        store.append(Change(run_id=run_id, events=happened, run=row))
    await store.close()


ROWS = [
    Row("screen", "10,000 runs: from start to their list on screen", "ms", _opening, at_most(500)),
    Row("key", "a key in a storm of events, 95 of 100", "ms", _key, at_most(50)),
]
