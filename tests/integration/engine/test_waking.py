"""A sleep that a person ends before its moment: as durable as an answer to a hook, and never twice."""

from __future__ import annotations

import asyncio

import pytest

from ksl.errors import UnknownRun, WrongState
from ksl.records import Meta

from tests.engine_fixture import START_MS, World

NAP = """
@workflow(retry=Retry(attempts=3, initial="1m", jitter=False))
async def w(ctx: Context) -> Any:
    await echo.run("before")
    await ctx.sleep("3d")
    after = await echo.run("after")
    await fail.run(times=1)
    return after
"""
TWO = """
@workflow
async def w(ctx: Context) -> Any:
    await asyncio.gather(ctx.sleep("1h"), ctx.sleep("2h"))
    return "up"
"""


async def wake(world: World, run_id: str, step: str | None = None) -> None:
    await world.runtime.wake(run_id, step, by="ada")
    await world.rest()


async def asleep(world: World, text: str) -> str:
    await world.load(text)
    run_id = await world.start()
    await world.rest()
    assert (await world.seen(run_id)).status == "sleeping"
    return run_id


async def test_a_woken_sleep_is_over_with_who_ended_it_and_its_timer_is_gone(disk: World) -> None:
    run_id = await asleep(disk, NAP)
    disk.clock.pass_ms(60_000)
    await wake(disk, run_id)
    run = await disk.seen(run_id)
    (event,) = [event for event in run.events if event.type == "sleep_completed"]
    assert (event.step, event.data, event.meta) == ("sleep#0", b"null", Meta(by="ada"))
    assert event.at_ms == START_MS + 60_000
    run = await disk.finish(run_id)
    # the retry of the run, after the wake, gets the end of the sleep from the record
    assert (run.row.attempt, run.flow.count("sleep_completed sleep#0")) == (2, 1)
    assert run.output == "after"
    assert await disk.store.next_timer_ms() is None


async def test_a_woken_run_is_taken_up_again_wherever_it_was_cut(world: World) -> None:
    run_id = await asleep(world, NAP)
    await wake(world, run_id)
    assert (await world.finish(run_id)).status == "succeeded"
    await world.crash_everywhere(run_id)


async def test_a_run_that_left_memory_is_woken_like_any_other(disk: World) -> None:
    run_id = await asleep(disk, NAP)
    await disk.evict(run_id)
    await wake(disk, run_id, "step:sleep#0")
    assert disk.stage.steps[:2] == ["echo#0", "echo~2#0"]


async def test_a_run_that_sleeps_since_before_the_restart_is_woken(disk: World) -> None:
    run_id = await asleep(disk, NAP)
    await disk.restart()
    await wake(disk, run_id)
    await disk.restart()
    assert (await disk.finish(run_id)).flow.count("sleep_completed sleep#0") == 1


async def test_of_several_sleeps_one_must_be_named(world: World) -> None:
    run_id = await asleep(world, TWO)
    with pytest.raises(WrongState, match="several sleeps: sleep#0, sleep~2#0"):
        await wake(world, run_id)
    await wake(world, run_id, "sleep~2#0")
    run = await world.seen(run_id)
    assert (run.status, run.steps("sleep_completed")) == ("sleeping", ["sleep~2#0"])
    await wake(world, run_id)
    assert (await world.seen(run_id)).output == "up"
    await world.crash_everywhere(run_id)


async def test_where_no_sleep_waits_nothing_is_stored(world: World) -> None:
    run_id = await asleep(world, NAP)
    with pytest.raises(WrongState, match=r"no sleep sleep~2#0 that waits.*Sleeps that wait: sleep#0"):
        await wake(world, run_id, "sleep~2#0")
    await wake(world, run_id)
    between = (await world.seen(run_id)).events
    with pytest.raises(WrongState, match="no sleep that waits"):
        await wake(world, run_id)
    assert (await world.seen(run_id)).events == between
    await world.finish(run_id)
    with pytest.raises(WrongState, match="has ended"):
        await wake(world, run_id)
    with pytest.raises(UnknownRun):
        await wake(world, "run_of_nobody")


async def test_a_held_run_is_not_woken(world: World) -> None:
    run_id = await asleep(world, NAP)
    await world.runtime.pause(run_id, by="ada")
    with pytest.raises(WrongState, match="is held"):
        await wake(world, run_id)
    await world.runtime.release(run_id, by="ada")
    await wake(world, run_id)
    assert "sleep_completed sleep#0" in (await world.seen(run_id)).flow


async def test_of_many_who_wake_it_and_the_clock_one_does(disk: World) -> None:
    run_id = await asleep(disk, NAP)
    disk.clock.pass_ms(3 * 86_400_000 + 1)
    answers = await asyncio.gather(
        *(disk.runtime.wake(run_id, by=f"caller {number}") for number in range(20)),
        disk.tick(),
        return_exceptions=True,
    )
    await disk.rest()
    run = await disk.seen(run_id)
    assert run.flow.count("sleep_completed sleep#0") == 1
    refused = [each for each in answers if isinstance(each, BaseException)]
    assert all(isinstance(each, WrongState) for each in refused)
    (event,) = [event for event in run.events if event.type == "sleep_completed"]
    told = 20 - len(refused)
    assert told == (1 if event.meta is not None and event.meta.by else 0)


async def test_the_bodys_own_timers_are_no_sleeps(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    await asyncio.sleep(60)
""")
    run_id = await world.start()
    await world.rest()
    with pytest.raises(WrongState, match="no sleep that waits"):
        await wake(world, run_id)


async def test_a_sleep_inside_a_sub_workflow_is_woken_by_its_id(world: World) -> None:
    await world.load("""
@workflow
async def inner(ctx: Context) -> Any:
    await ctx.sleep("1d")
    return "in"

@workflow
async def w(ctx: Context) -> Any:
    return await inner.run()
""")
    run_id = await world.start()
    await world.rest()
    await wake(world, run_id, "inner#0/sleep#0")
    assert (await world.seen(run_id)).output == "in"
    await world.crash_everywhere(run_id)
