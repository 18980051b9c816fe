"""Bodies that cannot be taken down, and clean-up code that runs where it belongs."""

from __future__ import annotations

import logging

import pytest

from tests.engine_fixture import World


@pytest.mark.parametrize(
    "wait", ["slow.run(1)", "ctx.hook()", "hook", "ctx.sleep(60)", "asyncio.sleep(60)", "part.run()"]
)
async def test_a_body_that_catches_everything_for_ever_is_left_standing_and_does_nothing(
    world: World, wait: str, caplog: pytest.LogCaptureFixture
) -> None:
    await world.load(f"""
@workflow
async def part() -> Any:
    return await slow.run(1)

@workflow
async def w(ctx: Context) -> Any:
    hook = ctx.hook()
    while True:
        try:
            await {wait}
        except BaseException:
            continue
""")
    run_id = await world.start()
    await world.rest()
    before = (await world.seen(run_id)).flow
    did = list(world.stage.ledger)
    with caplog.at_level(logging.WARNING, logger="ksl.engine"):
        await world.evict(run_id)
    assert "cannot be taken out of memory" in caplog.text
    assert world.live(run_id) is None
    assert (await world.seen(run_id)).flow == before
    assert world.stage.ledger == did
    await world.reload(run_id)
    assert (await world.seen(run_id)).flow == before


async def test_a_body_that_catches_the_mismatch_for_ever_is_held(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    await ctx.sleep("1h")
""")
    run_id = await world.start()
    await world.rest()
    await world.restart("""
@workflow
async def w(ctx: Context) -> Any:
    while True:
        try:
            await ctx.hook()
        except BaseException:
            continue
""")
    await world.advance(3_601)
    assert (await world.seen(run_id)).status == "held"


async def test_the_clean_up_of_a_generator_left_by_break_belongs_to_the_branch_and_body_that_ran_it(
    world: World,
) -> None:
    await world.load("""
async def numbers():
    try:
        for n in range(5):
            yield n
    finally:
        await other.run("closed")

async def first():
    async for n in numbers():
        break
    await slow.run(n)
    return n

@workflow
async def inner() -> Any:
    return await first()

@workflow
async def w() -> Any:
    return await asyncio.gather(inner.run(), first(), first())
""")
    run = await world.run()
    assert run.output == [0, 0, 0]
    assert sorted(step for step in run.steps() if "other" in step) == [
        "inner#0/other[generator]#0",
        "other[0.generator]#0",
        "other[1.generator]#0",
    ]
    await world.crash_everywhere(run.run_id)
