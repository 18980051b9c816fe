"""How long one thing takes: a run of one step, an answered hook, a commit beside a busy loop."""

from __future__ import annotations

import asyncio
from time import perf_counter

import httpx

from ksl.log.store import Change
from ksl.records import Event

from bench import engine
from bench.disk import commit_ms
from bench.rows import Place, Row, Sample, at_most, p50
from bench.served import Server

_WARM_UP = 10


def _start(place: Place) -> Sample:
    async def measurement() -> list[float]:
        async with engine.opened(place) as runtime:
            took: list[float] = []
            for _ in range(place.size(200) + _WARM_UP):
                began = perf_counter()
                started = await runtime.start("sequential", b"1")
                row = await runtime.settled(started.run.run_id, timeout_s=10)
                took.append((perf_counter() - began) * 1000)
                assert row.status == "succeeded"
            return took[_WARM_UP:]

    return _beside_raw(place, engine.run(measurement))


def _start_http(place: Place) -> Sample:
    with Server(engine.make_project(place)) as server, httpx.Client(base_url=server.url) as client:
        headers = {"Authorization": f"Bearer {server.token}"}
        took: list[float] = []
        for _ in range(place.size(200) + _WARM_UP):
            began = perf_counter()
            answer = client.post("/workflows/sequential?wait=10s", content=b"1", headers=headers)
            took.append((perf_counter() - began) * 1000)
            assert answer.json()["status"] == "succeeded", answer.text
    return _beside_raw(place, took[_WARM_UP:])


def _hook(place: Place) -> Sample:
    async def measurement() -> list[float]:
        async with engine.opened(place) as runtime:
            took: list[float] = []
            for _ in range(place.size(200) + _WARM_UP):
                started = await runtime.start("approval", b"null")
                await runtime.settled(started.run.run_id, timeout_s=10, waits=True)
                (hook,) = await runtime.store.hooks(run_id=started.run.run_id)
                token = str(runtime.hook_url(hook)).rpartition("/")[2]
                began = perf_counter()
                await runtime.resume(token, b'{"approved": true}')
                row = await runtime.settled(started.run.run_id, timeout_s=10)
                took.append((perf_counter() - began) * 1000)
                assert row.status == "succeeded"
            return took[_WARM_UP:]

    return _beside_raw(place, engine.run(measurement))


def _saturated(place: Place) -> Sample:
    """The slowest of many commits while something on the loop never waits."""

    async def measurement() -> list[float]:
        async with engine.opened(place) as runtime:
            hog = asyncio.create_task(_hog())
            took: list[float] = []
            for n in range(place.size(200)):
                stored = asyncio.get_running_loop().create_future()
                event = Event(f"run_{n}", 1, "run_created", None, 0, b"null")
                began = perf_counter()
                runtime.store.append(
                    Change(run_id=f"run_{n}", events=[event], stored=lambda f=stored: f.set_result(None))
                )
                await stored
                took.append((perf_counter() - began) * 1000)
            hog.cancel()
            return took

    took = engine.run(measurement)
    return Sample(max(took), {"p50": (p50(took), "ms")})


async def _hog() -> None:
    while True:
        until = perf_counter() + 0.001
        while perf_counter() < until:
            pass
        await asyncio.sleep(0)


def _beside_raw(place: Place, took: list[float]) -> Sample:
    p99 = sorted(took)[int(len(took) * 0.99)]
    return Sample(p50(took), {"p99": (p99, "ms"), "raw commit": (p50(commit_ms(place)), "ms")})


ROWS = [
    Row("start", "a run of one step, start to stored result, in process, p50", "ms", _start, at_most(2)),
    Row("start-http", "same, over HTTP, p50", "ms", _start_http, at_most(6)),
    Row("hook", "hook resumed to run finished, in process, p50", "ms", _hook, at_most(3)),
    Row("saturated", "a commit while the loop is saturated, the slowest", "ms", _saturated, at_most(50)),
]
