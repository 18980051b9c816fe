"""Runs that wait in line for a slot, and leave before they get it."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from tests.engine_fixture import World

BODIES = """
@workflow
async def holder() -> Any:
    return await slow.run("held")

@workflow
async def waker(ctx: Context) -> Any:
    await ctx.sleep("1s")
    return await echo.run("woken")

@workflow
async def impatient(ctx: Context) -> Any:
    await ctx.sleep("1s")
    try:
        async with asyncio.timeout(1):
            return await echo.run("too late")
    except TimeoutError:
        return await ctx.hook()
"""
ONE_AT_ONCE = "[queue]\nconcurrency = 1\n"


async def test_a_run_cancelled_in_line_for_a_slot_does_not_keep_it_later(world: World) -> None:
    await world.load(BODIES, settings=ONE_AT_ONCE)
    waker = await world.start("waker")
    await world.rest()
    holder = await world.start("holder")
    await world.advance(2)
    assert world.stage.steps == ["slow#0"]  # the other woke, and stands in line

    await world.runtime.cancel(waker)
    await world.rest()
    world.stage.go()
    assert (await world.finish(holder)).status == "succeeded"
    assert (await world.seen(waker)).status == "cancelled"
    assert world.runtime._slots.used == 0
    assert (await world.run("waker")).output == "woken"


async def test_a_slot_that_comes_when_the_body_no_longer_wants_it_is_given_back(world: World) -> None:
    await world.load(BODIES, settings=ONE_AT_ONCE)
    impatient = await world.start("impatient")
    await world.rest()
    holder = await world.start("holder")
    await world.advance(5)
    assert (await world.seen(impatient)).status == "waiting"

    world.stage.go()
    assert (await world.finish(holder)).status == "succeeded"
    assert world.runtime._slots.used == 0
    assert "echo#0" not in world.stage.steps
