"""Steps per second: one run after another step, many runs at once, one run with many steps at once."""

from __future__ import annotations

import asyncio
from time import perf_counter

from bench import engine
from bench.disk import commit_ms
from bench.rows import Place, Row, Sample, at_least, at_most, p50


def _sequential(place: Place) -> Sample:
    steps = place.size(1_000)
    raw_ms = p50(commit_ms(place))
    took_s = engine.run(lambda: _one_run(place, "sequential", steps, "full"))
    each_ms = took_s * 1000 / steps
    return Sample(
        each_ms - raw_ms,
        {"steps": (steps / took_s, "/s"), "a step": (each_ms, "ms"), "raw commit": (raw_ms, "ms")},
    )


def _sequential_process(place: Place) -> Sample:
    steps = place.size(1_000)
    raw_ms = p50(commit_ms(place, synchronous="NORMAL"))
    took_s = engine.run(lambda: _one_run(place, "sequential", steps, "process"))
    return Sample(steps / took_s, {"raw commits": (1000 / raw_ms, "/s")})


def _burst(place: Place) -> Sample:
    return _many_runs(place, "full")


def _burst_process(place: Place) -> Sample:
    return _many_runs(place, "process")


def _parallel(place: Place) -> Sample:
    steps = 1_000
    took_s = engine.run(lambda: _one_run(place, "parallel", steps, "full"))
    return Sample(steps / took_s)


async def _one_run(place: Place, workflow: str, steps: int, durability: engine.Durability) -> float:
    async with engine.opened(place, durability=durability) as runtime:
        await engine.finished(runtime, 1, lambda: runtime.start(workflow, b"10"))
        began = perf_counter()
        await engine.finished(runtime, 1, lambda: runtime.start(workflow, str(steps).encode()))
        return perf_counter() - began


def _many_runs(place: Place, durability: engine.Durability) -> Sample:
    runs, steps = place.size(2_000), 5

    async def measurement() -> float:
        async with engine.opened(place, durability=durability) as runtime:
            await engine.finished(runtime, 1, lambda: runtime.start("sequential", b"5"))
            began = perf_counter()
            await engine.finished(
                runtime,
                runs,
                lambda: asyncio.gather(*[runtime.start("sequential", b"5") for _ in range(runs)]),
            )
            return perf_counter() - began

    took_s = engine.run(measurement)
    return Sample(runs * steps / took_s, {"runs": (runs / took_s, "/s")})


ROWS = [
    Row(
        "sequential",
        "a run of 1,000 steps, full: over a raw commit, per step",
        "ms",
        _sequential,
        at_most(0.5),
    ),
    Row("sequential-process", "same, process durability", "steps/s", _sequential_process, at_least(5_000)),
    Row("burst", "2,000 runs of 5 steps at once, full", "steps/s", _burst, at_least(20_000)),
    Row("burst-process", "same, process durability", "steps/s", _burst_process, at_least(20_000)),
    Row("parallel", "a run of 1,000 steps at once, full", "steps/s", _parallel, at_least(30_000), repeats=5),
]
