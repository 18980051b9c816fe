"""What is made again from events is what the log had stored with them."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from ksl import Context, HookTimeout, Retry, action, workflow
from ksl.records import FINISHED, RunRow, RunStatus
from ksl.testing import Environment, environment
from ksl.testing.handles import RunHandle
from ksl.testing.machine import BOOT, at_once, tokens
from ksl.testing.rows import change_of


@action(retry=Retry(attempts=2, initial="1m"))
async def flaky(n: int) -> int:
    return n


@workflow(timeout="3d", retry=Retry(attempts=3, initial="1h"))
async def busy(ctx: Context) -> int:
    hook = ctx.hook(int, name="early", timeout="2d")
    unanswered = ctx.hook(name="never answered")
    await asyncio.gather(flaky.run(1), ctx.sleep("1h"), asyncio.sleep(2))
    expiring = ctx.hook(timeout="1h", title="soon over", details={"unanswered": unanswered.token})
    try:
        await expiring
    except HookTimeout:
        pass
    if ctx.attempt < 2:
        raise ValueError("again")
    return await hook


@workflow(retry=Retry(attempts=1))
async def failing(ctx: Context) -> None:
    ctx.hook()
    await ctx.sleep("1h")
    raise ValueError("for good")


async def test_a_history_gives_back_the_run_its_timers_and_its_hooks_at_every_wait() -> None:
    async with environment() as env:
        env.stub(flaky, raises=ConnectionError("down"), attempts=1)
        run = await env.start(busy)
        compared = 0
        while run.output is None:
            await _same(env, run)
            compared += 1
            if compared == 4:
                await env.resume(run.hooks[0], 5)
                await _same(env, run)
            await env.pass_to_next(run)
        await _same(env, run)
        assert compared >= 5
        assert await run.result() == 5


async def test_so_does_the_history_of_a_run_that_failed_and_was_tried_again_by_hand() -> None:
    async with environment() as env:
        run = await env.start(failing)
        await env.advance("1h")
        assert run.status is RunStatus.FAILED
        await _same(env, run)
        await env.retry(run)
        await _same(env, run)


async def test_so_does_the_history_of_a_cancelled_run() -> None:
    async with environment() as env:
        run = await env.start(busy)
        await env.cancel(run)
        await _same(env, run)


async def _same(env: Environment, run: RunHandle[Any]) -> None:
    history = env.history(run)
    made = change_of(history.events, workflow=run.workflow.slug, tokens=tokens(), boot=BOOT)
    store = run._machine.store  # pyright: ignore[reportPrivateUsage]
    assert made.run is not None
    assert _comparable(made.run) == _comparable(run.row)
    stored = at_once(store.timers(until_ms=1 << 60, limit=1000))
    # A body's own timer that it cancelled leaves no event: its row comes back, and is dropped when it is due.
    assert set(stored) <= set(made.timers_set)
    assert all(timer.kind == "timer" for timer in set(made.timers_set) - set(stored))
    hooks = {hook.step: hook for hook in at_once(store.hooks(run_id=run.run_id, only_open=False))}
    assert {hook.step: hook for hook in made.hooks} == hooks


def _comparable(row: RunRow) -> RunRow:
    status = row.status
    if status not in FINISHED and status is not RunStatus.QUEUED:
        status = RunStatus.RUNNING
    # A row is written when something of it changes, so its `seq` may lie behind.
    return replace(row, status=status, waiting_on=None, code_version=None, seq=0)
