"""Every kind of wait while the wall clock is set forward and back, and backoffs whose process dies."""

from __future__ import annotations

import pytest

from tests.engine_fixture import World

WAITS = """
@action(retry=Retry(attempts=2, initial="1h", maximum="1h", jitter=False))
async def retried(ctx: ActionContext) -> str:
    stage.did(ctx, ctx.attempt)
    if ctx.attempt == 1:
        raise ValueError("not yet")
    return "retried"

@workflow(retry=Retry(attempts=2, initial="1h", maximum="1h", jitter=False))
async def w(input: str, ctx: Context) -> Any:
    match input:
        case "sleep":
            await ctx.sleep("1h")
        case "moment":
            await ctx.sleep(ctx.now() + datetime.timedelta(hours=1))
        case "timer":
            await asyncio.sleep(3600)
        case "timeout":
            try:
                async with asyncio.timeout(3600):
                    await ctx.hook()
            except TimeoutError:
                pass
        case "deadline":
            try:
                await ctx.hook(timeout="1h")
            except HookTimeout:
                pass
        case "step backoff":
            await retried.run()
        case "run backoff":
            await fail.run("no", times=1)
        case "longer":
            await ctx.sleep("3h")
    return await echo.run(input)
"""
HOUR_MS = 3_600_000
BY_DURATION = ("sleep", "timer", "timeout", "deadline", "step backoff", "run backoff")
KINDS = (*BY_DURATION, "moment", "longer")


async def waiting(world: World) -> dict[str, str]:
    await world.load(WAITS)
    runs = {kind: await world.start("w", kind) for kind in KINDS}
    await world.rest()
    assert await ended(world, runs) == set()
    return runs


async def ended(world: World, runs: dict[str, str]) -> set[str]:
    """The kinds whose runs went on, each once."""
    done = {kind for kind, run_id in runs.items() if (await world.seen(run_id)).status == "succeeded"}
    told = [value for step, value in world.stage.ledger if step.startswith("echo")]
    assert sorted(told) == sorted(done)
    return done


async def test_a_clock_set_forward_wakes_what_is_due_by_it_once_and_nothing_else(world: World) -> None:
    runs = await waiting(world)
    world.clock.ms += 2 * HOUR_MS
    world.clock.steady_ms += 1
    await world.tick()
    due = {*KINDS} - {"longer"}
    assert await ended(world, runs) == due
    world.clock.ms -= 2 * HOUR_MS  # and is put right again
    world.clock.pass_ms(2 * HOUR_MS)
    await world.tick()
    assert await ended(world, runs) == due
    world.clock.pass_ms(HOUR_MS)
    await world.tick()
    assert await ended(world, runs) == {*KINDS}


async def test_a_clock_set_back_keeps_no_duration_waiting_longer_than_it_lasts(world: World) -> None:
    runs = await waiting(world)
    world.clock.ms -= 3 * HOUR_MS
    world.clock.pass_ms(HOUR_MS - 2)
    await world.tick()
    assert await ended(world, runs) == set()
    world.clock.pass_ms(3)
    await world.tick()
    assert await ended(world, runs) == {*BY_DURATION}
    world.clock.pass_ms(3 * HOUR_MS - 2)
    await world.tick()
    assert await ended(world, runs) == {*BY_DURATION, "longer"}
    world.clock.pass_ms(1)
    await world.tick()
    assert await ended(world, runs) == {*KINDS}


@pytest.mark.parametrize("kind", KINDS[:-1])
async def test_a_moment_outlives_the_process_and_is_neither_cut_short_nor_begun_anew(
    disk: World, kind: str
) -> None:
    await disk.load(WAITS)
    run_id = await disk.start("w", kind)
    await disk.rest()
    for _ in range(2):
        disk.clock.pass_ms(HOUR_MS // 2 - 2)
        await disk.restart()
        await disk.tick()
        assert "echo#0" not in disk.stage.steps
    disk.clock.pass_ms(5)
    await disk.tick()
    run = await disk.seen(run_id)
    assert (run.status, disk.stage.steps.count("echo#0")) == ("succeeded", 1)
