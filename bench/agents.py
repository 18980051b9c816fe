"""Turns of agents per second: the model is a script, so what is measured is the recording around it."""

from __future__ import annotations

import asyncio
from time import perf_counter

from bench import engine
from bench.rows import Place, Row, Sample, at_least

TURNS = 3


def _agents(place: Place) -> Sample:
    prompts = place.size(1_000)
    took_s = engine.run(lambda: _prompts(place, prompts))
    return Sample(TURNS * prompts / took_s, {"prompts": (prompts / took_s, "/s")})


async def _prompts(place: Place, prompts: int) -> float:
    async with engine.opened(place, durability="full") as runtime:
        await engine.finished(runtime, 1, lambda: runtime.start("look-around", b"1"))
        began = perf_counter()
        await engine.finished(
            runtime,
            prompts,
            lambda: asyncio.gather(*(runtime.start("look-around", b"1") for _ in range(prompts))),
        )
        return perf_counter() - began


ROWS = [
    Row("agents", "1,000 prompts of 3 turns and 2 calls at once, full", "turns/s", _agents, at_least(300)),
]
