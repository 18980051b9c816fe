"""Runs that wait: put to sleep, brought back by replay, and there in their thousands when a server starts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from ksl.build.discover import discover
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change
from ksl.records import Event, Meta, RunRow, RunStatus, TimerRow
from ksl.records.moment import rfc3339
from ksl.runtime import Runtime

from bench import engine
from bench.rows import Place, Row, Sample, at_least, at_most
from bench.served import Server

_DAY_MS = 86_400_000


def _replay(place: Place) -> Sample:
    steps = place.size(10_000)

    async def measurement() -> tuple[float, float, int]:
        async with engine.opened(place, durability="process") as runtime:
            started = await runtime.start("recorded", str(steps).encode())
            run_id = started.run.run_id
            await runtime.settled(run_id, timeout_s=600, waits=True)
            runtime.engine.discard(runtime.engine.live[run_id])
            with _timed_reading(runtime) as reading_s:
                began = perf_counter()
                run = await runtime.engine.load(run_id)
                took_s = perf_counter() - began
            assert run.main is not None, run.halted
            return took_s, sum(reading_s), run.seq

    took_s, reading_s, events = engine.run(measurement)
    replay_s = took_s - reading_s
    beside = {
        "events": (events, ""),
        "replay": (replay_s * 1000, "ms"),
        "reading its rows": (reading_s * 1000, "ms"),
        "both": (events / took_s, "/s"),
    }
    return Sample(events / replay_s, beside)


@contextmanager
def _timed_reading(runtime: Runtime) -> Generator[list[float]]:
    """Seconds that the log took for each question about a run's events."""
    took_s: list[float] = []
    inner = runtime.store.events

    async def events(run_id: str, *, after: int = 0, limit: int | None = None) -> list[Event]:
        began = perf_counter()
        try:
            return await inner(run_id, after=after, limit=limit)
        finally:
            took_s.append(perf_counter() - began)

    runtime.store.events = events
    try:
        yield took_s
    finally:
        del runtime.store.events


def _put_to_sleep(place: Place) -> Sample:
    runs = place.size(10_000)

    async def measurement() -> float:
        async with engine.opened(place) as runtime:
            began = perf_counter()
            await asyncio.gather(*[runtime.start("asleep", b"null") for _ in range(runs)])
            await _quiet(runtime)
            took_s = perf_counter() - began
            assert (await runtime.store.run_counts())[RunStatus.SLEEPING] == runs
            return took_s

    took_s = engine.run(measurement)
    return Sample(runs / took_s)


async def _quiet(runtime: Runtime) -> None:
    """Returns when no run is in line or being advanced, and all of it is stored."""
    figures = runtime.figures()
    while figures.queue_depth or figures.slots_used:
        await asyncio.sleep(0)
        figures = runtime.figures()
    await runtime.store.flush()


_prepared: dict[Path, tuple[Path, float, float]] = {}


def _server_with_sleepers(place: Place) -> tuple[Sample, Sample]:
    """(start, memory) of one start, beside those of a server that has no runs."""
    sleepers = place.size(100_000)
    if place.folder not in _prepared:
        folder = engine.make_project(place)
        # Of the code that is served: runs of other code are replayed at start, to see whether it fits them.
        version = discover(folder).code_version("asleep")
        asyncio.run(_write_sleepers(folder / ".ksl" / "ksl.db", sleepers, version))
        with Server(engine.make_project(place)) as empty:
            _prepared[place.folder] = folder, empty.ready_s, empty.resident_mb()
    folder, empty_s, empty_mb = _prepared[place.folder]
    with Server(folder) as server:
        start = Sample(server.ready_s, {"an empty server": (empty_s, "s")})
        memory = Sample(server.resident_mb() - empty_mb, {"an empty server": (empty_mb, "MB")})
    return start, memory


def _start(place: Place) -> Sample:
    return _server_with_sleepers(place)[0]


def _memory(place: Place) -> Sample:
    return _server_with_sleepers(place)[1]


async def _write_sleepers(path: Path, count: int, version: str) -> None:
    """As the workflow `asleep` leaves them, due over the coming day. Going through it would take minutes."""
    store = await SqliteStore.open(path, durability="process")
    now_ms = time.time_ns() // 1_000_000
    for n in range(count):
        run_id = f"run_{n:020}"
        due_ms = now_ms + 60_000 + n * _DAY_MS // count
        due = b'{"due":"%s"}' % rfc3339(due_ms).encode()
        waiting_on = b'[{"kind":"sleep","step":"sleep#0","due":"%s"}]' % rfc3339(due_ms).encode()
        events = [
            Event(run_id, 1, "run_created", None, now_ms, b"null", None, Meta()),
            Event(run_id, 2, "run_started", None, now_ms, None, None, Meta(attempt=1)),
            Event(run_id, 3, "sleep_started", "sleep#0", now_ms, due, b'{"seconds":43200.0}', Meta(after=2)),
        ]
        row = RunRow(
            run_id,
            "asleep",
            RunStatus.SLEEPING,
            "api",
            now_ms,
            now_ms,
            3,
            now_ms,
            waiting_on=waiting_on,
            code_version=version,
        )
        timer = TimerRow(due_ms, run_id, "sleep#0", "sleep", boot="")
        store.append(Change(run_id=run_id, events=events, run=row, timers_set=[timer]))
        if n % 10_000 == 0:
            await store.flush()
    await store.close()


ROWS = [
    Row("replay", "a run of 10,000 steps replayed, its rows read", "events/s", _replay, at_least(100_000)),
    Row("to-sleep", "10,000 runs put to sleep, full", "runs/s", _put_to_sleep, at_least(3_000), repeats=2),
    Row("sleepers", "start of ksl serve with 100,000 sleeping runs", "s", _start, at_most(1)),
    Row("sleepers-memory", "same: resident, beyond an empty server", "MB", _memory, at_most(80)),
]
