"""A disk that takes longer over a commit than the run's own affairs take."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio

import pytest

from tests.engine_fixture import World


async def test_an_attempt_begins_only_when_the_failure_before_it_is_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a crash now would repeat two attempts, not one."""
    await world.load("""
@action(retry=Retry(attempts=2, initial="1ms", jitter=False))
async def twice(ctx: ActionContext) -> int:
    stage.did(ctx, ctx.attempt)
    if ctx.attempt == 1:
        raise ValueError("not yet")
    return ctx.attempt


@workflow
async def w() -> int:
    return await twice.run()
""")
    commit = world.store._commit
    held = asyncio.Event()

    def slowly() -> None:
        events = [event.type for change in world.store._pending for event in change.events]
        if "step_retrying" in events:
            held.set()
        else:
            commit()

    monkeypatch.setattr(world.store, "_commit", slowly)
    run_id = await world.start()
    await held.wait()
    run = world.live(run_id)
    assert run is not None
    (backoff,) = run.backoffs.values()
    world.clock.pass_ms(50)
    world.runtime._timer_due(backoff)
    for _ in range(20):
        await asyncio.sleep(0)
    assert [attempt for _, attempt in world.stage.ledger] == [1]

    monkeypatch.undo()
    commit()
    assert (await world.finish(run_id)).output == 2
    assert [attempt for _, attempt in world.stage.ledger] == [1, 2]
