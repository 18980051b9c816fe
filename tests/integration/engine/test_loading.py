"""Runs brought back into memory: how many at once, in which order, and what a server that stops does about them."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from typing import Any

from ksl.records import Event

from tests.engine_fixture import World

SLEEPER = """
@workflow
async def w(input: int, ctx: Context) -> Any:
    await ctx.sleep("1h")
    return await echo.run(input)
"""


async def test_of_many_overdue_timers_only_so_many_runs_are_loaded_at_once(disk: World) -> None:
    await disk.load(SLEEPER)
    runs = [await disk.start("w", n) for n in range(200)]
    await disk.restart()
    engine = disk.runtime.engine
    reading = most = 0
    events = disk.store.events

    async def counted(run_id: str, *args: Any, **options: Any) -> list[Event]:
        nonlocal reading, most
        reading += 1
        most = max(most, reading, len(engine.loading.under_way))
        try:
            return await events(run_id, *args, **options)
        finally:
            reading -= 1

    disk.store.events = counted
    await disk.advance(3_601)
    assert [(await disk.seen(run_id)).output for run_id in runs] == list(range(200))
    assert 1 < most <= 64


async def test_a_server_that_stops_waits_for_the_runs_that_are_being_loaded(disk: World) -> None:
    await disk.load(SLEEPER)
    run_id = await disk.start("w", 1)
    await disk.restart()
    engine = disk.runtime.engine
    go_on = asyncio.Event()
    events = disk.store.events

    async def held_up(run_id: str, *args: Any, **options: Any) -> list[Event]:
        await go_on.wait()
        return await events(run_id, *args, **options)

    disk.store.events = held_up
    disk.clock.pass_ms(3_601_000)
    await disk.runtime._timers.once(disk.clock.now_ms())
    while not engine.loading.under_way:
        await asyncio.sleep(0)
    closing = asyncio.create_task(disk.runtime.close())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not closing.done()
    go_on.set()
    await closing
    assert not engine.loading.under_way
    assert not engine.overdue.loaders
    assert not engine.live
    await disk.restart(clean=True)
    await disk.advance(1)
    assert (await disk.finish(run_id)).output == 1


async def test_after_a_restart_what_was_half_done_goes_before_what_had_not_begun(disk: World) -> None:
    await disk.load(
        """
@workflow
async def w(input: int) -> Any:
    return [await slow.run(input), await slow.run(input)]
""",
        settings="[queue]\nconcurrency = 1\n",
    )
    runs = [await disk.start("w", n) for n in range(4)]
    await disk.rest()
    disk.stage.go(0)
    await disk.rest()
    disk.stage.ledger.clear()
    await disk.restart()
    for run_id in runs:
        await disk.finish(run_id)
    assert disk.stage.ledger[0] == ("slow~2#0", 0)
