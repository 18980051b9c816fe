"""Moments across attempts, restarts and turns: none is lost, none is left behind."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from tests.engine_fixture import World


async def test_a_timer_that_is_wanted_no_more_in_its_own_turn_leaves_nothing(disk: World) -> None:
    await disk.load("""
@workflow
async def w(ctx: Context) -> Any:
    async with asyncio.timeout(60):
        await asyncio.sleep(0)
    event = asyncio.Event()
    event.set()
    await asyncio.wait_for(event.wait(), 60)
    return await ctx.hook()
""")
    run_id = await disk.start()
    await disk.rest()
    assert await disk.store.timers(until_ms=2**62, limit=10) == []
    assert disk.runtime._timers.armed == 0
    await disk.answer(run_id, 1)
    assert (await disk.seen(run_id)).output == 1


async def test_a_run_that_ends_in_the_turn_that_made_a_hook_leaves_no_timer(disk: World) -> None:
    await disk.load("""
@workflow
async def w(ctx: Context) -> Any:
    ctx.hook(timeout="1h")
    return 1
""")
    assert (await disk.run()).output == 1
    assert await disk.store.timers(until_ms=2**62, limit=10) == []


async def test_a_hook_still_expires_after_its_run_failed_was_retried_and_the_process_died(
    disk: World,
) -> None:
    await disk.load("""
@workflow(retry=Retry(attempts=1))
async def w(ctx: Context) -> Any:
    hook = ctx.hook(timeout="1h")
    await fail.run("no", times=1)
    try:
        return await hook
    except HookTimeout:
        return "expired"
""")
    run = await disk.run()
    assert run.status == "failed"
    await disk.runtime.retry(run.run_id)
    await disk.rest()
    await disk.restart()
    await disk.advance(3_601)
    await disk.rest()
    assert (await disk.seen(run.run_id)).output == "expired"


async def test_two_interrupted_steps_of_one_run_end_it_once(disk: World) -> None:
    await disk.load("""
@action(effect="at_most_once")
async def once(value: int, ctx: ActionContext) -> int:
    stage.did(ctx, value)
    await stage.turn(value, 0)
    return value

@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    return await asyncio.gather(once.run(1), once.run(2))
""")
    run_id = await disk.start()
    await disk.rest()
    assert disk.stage.steps == ["once#0", "once#1"] or len(disk.stage.steps) == 2
    await disk.restart()
    run = await disk.finish(run_id)
    assert run.types.count("run_failed") == 1
    assert run.error["type"] == "StepInterrupted"
    assert [event.seq for event in run.events] == list(range(1, len(run.events) + 1))


async def test_a_sub_workflow_called_with_another_input_is_drift(disk: World) -> None:
    code = """
@workflow
async def inner(value: int) -> Any:
    return await echo.run("same")

@workflow
async def w() -> Any:
    await inner.run(INPUT)
    return await slow.run("x")
"""
    await disk.load(code.replace("INPUT", "1"))
    run_id = await disk.start()
    await disk.rest()
    await disk.restart(code.replace("INPUT", "2"))
    run = await disk.finish(run_id)
    assert (run.status, run.error["type"]) == ("held", "InputDrift")
