"""Restarts, downtime, and clocks that are set forward and back in any order: no tick fires twice, none is lost."""

from __future__ import annotations

from random import Random

import pytest

from ksl import CronSource

from tests.engine_fixture import START_MS, World

MINUTE = 60_000
CODE = """
@workflow
async def w(input: Any, ctx: Context) -> str:
    return ctx.triggered_at.isoformat()


for policy in ("all", "coalesce", "skip"):
    CronSource(policy, "*/7 * * * *", misfire=policy, jitter=JITTER).attach(w)
"""


async def nominal(world: World, source: str) -> list[int]:
    """Of the ticks that started a run, in the order in which they did."""
    page = await world.store.triggers.firings(source, limit=100_000)
    assert all(len(row.runs) <= 1 for row in page.rows)
    return [row.nominal_ms for row in page.rows[::-1] if row.runs]


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_to_process_and_clock_each_tick_fires_once(world: World, seed: int) -> None:
    chance = Random(seed)
    jitter = chance.choice(["None", "'90s'", "'20m'"])
    await world.load(CODE.replace("JITTER", jitter))
    latest_ms = world.clock.ms
    await world.runtime.cron.once(latest_ms)
    for _ in range(60):
        match chance.randrange(8):
            case 0:
                await world.restart(clean=chance.random() < 0.5)
            case 1:
                world.clock.ms += chance.randrange(3 * 60) * MINUTE
            case 2:
                back_ms = chance.randrange(3 * 60) * MINUTE
                world.clock.ms = max(world.clock.ms - back_ms, START_MS)
            case _:
                world.clock.pass_ms(chance.randrange(15 * MINUTE))
        await world.runtime.cron.once(world.clock.now_ms())
        await world.rest()
        latest_ms = max(latest_ms, world.clock.ms)

    every = await nominal(world, "all")
    assert len(every) == len(set(every))
    step_ms = 7 * MINUTE
    assert all(tick_ms / MINUTE % 60 % 7 == 0 for tick_ms in every)
    source = world.runtime.triggers.source("all")
    assert isinstance(source, CronSource)
    expected = source.schedule.upcoming(START_MS / 1000, len(every) + 60)
    due = [tick_s * 1000 for tick_s in expected if tick_s * 1000 <= latest_ms]
    if jitter == "None":
        assert sorted(every) == due
    else:
        # The last ones may wait for their moment still.
        assert sorted(every) == due[: len(every)]
        assert len(due) - len(every) <= 20 * MINUTE / step_ms + 1
    for source_slug in ("coalesce", "skip"):
        fired = await nominal(world, source_slug)
        assert len(fired) == len(set(fired))
        assert set(fired) <= set(due)
