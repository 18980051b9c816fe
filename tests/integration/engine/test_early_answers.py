"""A hook that an earlier attempt of the run made takes its answer before the next attempt has come to it."""

from __future__ import annotations

import asyncio

import pytest

from ksl.errors import HookAnswered, InvalidInput, RunBetweenAttempts

from tests.engine_fixture import World

ASK = """
@workflow(retry=Retry(attempts=3, initial="1m", jitter=False))
async def w(ctx: Context) -> Any:
    hook = ctx.hook(int, timeout="1d")
    await fail.run(times=1)
    await slow.run("before the hook")
    return await hook
"""


async def waits_for_its_second_attempt(world: World) -> str:
    await world.load(ASK)
    run_id = await world.start()
    await world.rest()
    assert (await world.seen(run_id)).status == "queued"
    return run_id


async def test_between_two_attempts_the_answer_is_taken_and_kept(disk: World) -> None:
    run_id = await waits_for_its_second_attempt(disk)
    await disk.answer(run_id, 12)
    run = await disk.finish(run_id)
    assert run.output == 12
    assert run.flow[4:7] == ["run_retrying", "hook_resumed hook#0", "run_started"]
    (hook,) = await disk.store.hooks(run_id=run_id, only_open=False)
    assert (hook.status, hook.answered_by) == ("resumed", "ada")
    assert await disk.store.next_timer_ms() is None


async def test_the_next_attempt_need_not_have_come_to_the_hook_again(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=3, initial="1m", jitter=False))
async def w(ctx: Context) -> Any:
    if ctx.attempt == 2:
        await slow.run("first something else")
    hook = ctx.hook(int)
    await fail.run(times=1)
    return await hook
""")
    run_id = await world.start()
    await world.advance(61)
    assert world.stage.waiting == ["first something else"]
    await world.answer(run_id, 3)
    await world.reload(run_id)
    run = await world.finish(run_id)
    assert run.output == 3
    await world.crash_everywhere(run_id, since=5)


async def test_of_many_early_answers_one_wins(world: World) -> None:
    run_id = await waits_for_its_second_attempt(world)
    answers = await asyncio.gather(
        *(world.runtime.resume_hook(run_id, None, str(n).encode()) for n in range(20)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(refused) == 19
    assert all(isinstance(error, HookAnswered) for error in refused)
    winner = next(n for n, answer in enumerate(answers) if not isinstance(answer, BaseException))
    assert (await world.finish(run_id)).output == winner


async def test_an_early_answer_that_does_not_fit_leaves_the_hook_waiting(world: World) -> None:
    run_id = await waits_for_its_second_attempt(world)
    with pytest.raises(InvalidInput):
        await world.answer(run_id, "many")
    await world.answer(run_id, 1)
    assert (await world.finish(run_id)).output == 1


async def test_code_that_no_longer_makes_the_hook_refuses_its_answer(world: World) -> None:
    run_id = await waits_for_its_second_attempt(world)
    await world.restart(
        ASK.replace("hook = ctx.hook(int", "hook = await echo.run(1)\n    (lambda *a, **b: a)(int")
    )
    with pytest.raises(RunBetweenAttempts):
        await world.answer(run_id, 1)
