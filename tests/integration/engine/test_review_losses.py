"""A log that takes nothing for a while: what was refused never happens, what was under way goes on by itself."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio

import pytest

from ksl.engine import behind
from ksl.errors import ChangeRefused, StoreFull
from ksl.log.store import Change
from ksl.records import Event

from tests.engine_fixture import World

FULL = StoreFull("no space")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind, "FIRST_S", 0.0)


async def recovered(world: World) -> None:
    while (task := world.runtime._advancing.behind._task) is not None:
        await task
    await world.rest()


def fail_next(world: World, type: str) -> None:
    """Loses the next change that holds such an event, as a full disk would."""
    store = world.store
    append = store.append

    def losing(change: Change) -> None:
        if any(event.type == type for event in change.events):
            store.append = append
            asyncio.get_running_loop().call_soon(store.fail, FULL)  # ahead of the commit
        append(change)

    store.append = losing


@pytest.mark.parametrize("type", ["step_completed", "run_started", "run_completed", "sleep_completed"])
async def test_a_run_whose_turn_found_no_space_goes_on_when_there_is_some(world: World, type: str) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    await echo.run("a")
    await ctx.sleep("1m")
    return await echo.run("b")
""")
    fail_next(world, type)
    try:
        run_id = await world.start()
    except StoreFull:
        run_id = await world.start()
    await world.rest()
    await recovered(world)
    await world.advance(60)
    await recovered(world)
    run = await world.finish(run_id)
    assert run.output == "b"
    assert [event.seq for event in run.events] == list(range(1, len(run.events) + 1))


async def test_readiness_says_that_there_is_no_space_until_there_is(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    return await slow.run("a")
""")
    run_id = await world.start()
    await world.rest()
    fail_next(world, "step_completed")
    world.stage.go()
    while world.runtime._advancing.behind.mishap is None:
        await world.store.flush()
        await asyncio.sleep(0)
    assert world.runtime.health() == {"ready": False, "reason": "no space"}
    await recovered(world)
    assert world.runtime.health()["ready"]
    assert (await world.finish(run_id)).output == "a"


async def test_a_start_that_was_refused_does_not_begin_later(world: World) -> None:
    await world.load(
        """
@workflow
async def w(value: str) -> Any:
    return await slow.run(value)
""",
        settings="[queue]\nconcurrency = 1\n",
    )
    first = await world.start(input="first")
    await world.rest()
    fail_next(world, "run_created")
    with pytest.raises(StoreFull):
        await world.start(input="second")
    await recovered(world)
    assert (await world.finish(first)).output == "first"
    await world.rest()
    assert [value for _, value in world.stage.ledger] == ["first"]
    assert await world.store.events("run_2") == []


async def test_a_run_whose_change_the_log_refuses_for_good_is_held(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    return await slow.run("a")
""")
    run_id = await world.start()
    await world.rest()
    # Somebody else took the number of its next event.
    stray = Event(run_id, 3, "run_released", None, world.clock.now_ms(), b"{}")
    world.store.append(Change(run_id=run_id, events=[stray]))
    world.stage.go()
    run = await world.finish(run_id)
    assert (run.status, run.error["type"]) == ("held", ChangeRefused.__name__)
