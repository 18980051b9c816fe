"""Effects that have happened while the log took nothing: recorded when it does, not repeated."""

from __future__ import annotations

import asyncio

import pytest

from ksl.engine import behind

from tests.engine_fixture import World
from tests.integration.engine.test_review_losses import fail_next, recovered


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind, "FIRST_S", 0.0)


async def lost(world: World) -> None:
    while world.runtime._advancing.behind.mishap is None:  # pyright: ignore[reportPrivateUsage]
        await world.store.flush()
        await asyncio.sleep(0)


@pytest.mark.parametrize("type", ["step_completed", "run_completed"])
async def test_an_outcome_that_found_no_space_is_recorded_later_and_its_step_runs_once(
    world: World, type: str
) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    return await echo.run("a")
""")
    fail_next(world, type)
    run_id = await world.start()
    await recovered(world)

    assert (await world.finish(run_id)).output == "a"
    assert [value for _, value in world.stage.ledger] == ["a"]


async def test_a_step_in_flight_when_its_run_left_memory_is_not_begun_again(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    return await asyncio.gather(slow.run("long", 2), slow.run("short", 1))
""")
    run_id = await world.start()
    await world.rest()
    fail_next(world, "step_completed")
    world.stage.go()
    await lost(world)
    await recovered(world)

    assert (await world.finish(run_id)).output == ["long", "short"]
    assert sorted(value for _, value in world.stage.ledger) == ["long", "short"]


async def test_an_at_most_once_step_whose_outcome_found_no_space_is_not_taken_for_interrupted(
    world: World,
) -> None:
    await world.load("""
@action(effect="at_most_once")
async def once(value: str, ctx: ActionContext) -> str:
    stage.did(ctx, value)
    return value

@workflow
async def w() -> Any:
    return await once.run("a")
""")
    fail_next(world, "step_completed")
    run_id = await world.start()
    await recovered(world)

    assert (await world.finish(run_id)).output == "a"
    assert [value for _, value in world.stage.ledger] == ["a"]


async def test_a_step_that_is_asked_for_with_another_input_runs_anew(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    return await slow.run("a")
""")
    run_id = await world.start()
    await world.rest()
    call = world.runtime.engine.live[run_id].asked["slow#0"]
    attempts = world.runtime.engine.attempts
    call.input = b'{"value":"b","rank":0}'

    assert not attempts.adopt(run_id, call, lambda result: None)
    assert attempts.count == 0
