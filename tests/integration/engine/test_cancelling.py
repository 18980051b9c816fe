"""Cancelling: delivered at its place, clean-up once, and what a run ends as."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ksl.errors import HookClosed, KslError, WrongState

from tests.engine_fixture import World

CLEANS_UP = """
@workflow
async def inner(ctx: Context) -> Any:
    try:
        return await slow.run("inside", rank=9)
    finally:
        await other.run("inner clean-up")

@workflow
async def w(input: str, ctx: Context) -> Any:
    try:
        match input:
            case "step":
                await slow.run("work", rank=9)
            case "thread":
                await plain.run()
            case "sleep":
                await ctx.sleep("1d")
            case "hook":
                await ctx.hook()
            case "gather":
                await asyncio.gather(slow.run("work", rank=9), ctx.sleep("1d"), ctx.hook())
            case "backoff":
                await retried.run()
            case "timer":
                await asyncio.sleep(100)
            case "sub":
                await inner.run()
    except asyncio.CancelledError:
        await echo.run("clean-up")
        raise

@action(retry=Retry(attempts=5, initial="1h", maximum="1h"))
async def retried() -> None:
    raise ValueError("no")

@action
def plain(ctx: ActionContext) -> None:
    ctx.cancelled.wait(60)
"""


@pytest.mark.parametrize("where", ["step", "thread", "sleep", "hook", "gather", "backoff", "timer", "sub"])
async def test_a_run_cancelled_while_it_waits_runs_its_clean_up_once_and_ends_cancelled(
    disk: World, where: str
) -> None:
    await disk.load(CLEANS_UP)
    run_id = await disk.start("w", where)
    if where == "thread":
        while not disk.runtime.engine.attempts.count:
            await disk.store.flush()
    else:
        await disk.rest()
    row = await disk.runtime.cancel(run_id, reason="no longer wanted", by="ada")
    assert row.run_id == run_id
    run = await disk.finish(run_id)
    assert run.status == "cancelled", run.events[-1]
    assert disk.stage.steps.count("echo#0") == 1
    assert run.types[-1] == "run_cancelled"
    assert run.data("run_cancel_requested") == {"reason": "no longer wanted", "by": "ada"}
    if where == "sub":
        assert run.flow[3:-1] == [
            "step_cancelled inner#0/slow#0", "step_completed inner#0/other#0", "step_cancelled inner#0",
            "step_completed echo#0",
        ]  # fmt: skip
    assert await disk.store.hooks() == []
    assert await disk.store.next_timer_ms() is None
    assert disk.stage.waiting == []
    assert disk.runtime.figures().slots_used == 0
    assert disk.runtime.figures().steps_in_flight == 0


@pytest.mark.parametrize("where", ["step", "sleep", "hook", "gather", "sub", "timer"])
async def test_a_cancelled_run_ends_the_same_from_every_cut_of_its_log(world: World, where: str) -> None:
    await world.load(CLEANS_UP)
    run_id = await world.start("w", where)
    await world.rest()
    await world.runtime.cancel(run_id)
    run = await world.finish(run_id)
    assert run.status == "cancelled"
    turns = [[event.type for event in change.events] for change in world.changes if change.run_id == run_id]
    asked = next(n for n, types in enumerate(turns, start=1) if "run_cancel_requested" in types)
    await world.crash_everywhere(run_id, since=asked)


async def test_a_cancel_asked_for_before_a_restart_is_carried_out_after_it(disk: World) -> None:
    await disk.load("""
@workflow
async def w(ctx: Context) -> Any:
    try:
        await ctx.sleep("1d")
    finally:
        await slow.run("clean-up")
""")
    run_id = await disk.start()
    await disk.rest()
    await disk.runtime.cancel(run_id)
    await disk.rest()
    assert disk.stage.waiting == ["clean-up"]
    await disk.restart()
    run = await disk.finish(run_id)
    assert run.status == "cancelled"
    assert run.types.count("run_cancel_requested") == 1


async def test_a_body_that_swallows_the_cancellation_still_ends_cancelled(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    try:
        await ctx.sleep("1d")
    except asyncio.CancelledError:
        pass
    await echo.run("went on")
    return "all is well"
""")
    run_id = await world.start()
    await world.rest()
    await world.runtime.cancel(run_id)
    run = await world.finish(run_id)
    assert run.status == "cancelled"
    assert world.stage.steps == ["echo#0"]


async def test_a_clean_up_that_fails_makes_the_run_failed_with_no_retry(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=5, initial=0))
async def w(ctx: Context) -> Any:
    try:
        await ctx.sleep("1d")
    finally:
        await fail.run("cannot undo")
""")
    run_id = await world.start()
    await world.rest()
    await world.runtime.cancel(run_id)
    run = await world.finish(run_id)
    assert (run.status, run.error["message"]) == ("failed", "cannot undo")
    assert "run_retrying" not in run.types


async def test_a_cancel_during_a_task_group_cancels_its_branches_and_is_no_failure(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    async def branch(n):
        try:
            await slow.run(n)
        finally:
            await echo.run(n)
    async with asyncio.TaskGroup() as group:
        group.create_task(branch(1))
        group.create_task(branch(2))
""")
    run_id = await world.start()
    await world.rest()
    await world.runtime.cancel(run_id)
    run = await world.finish(run_id)
    assert run.status == "cancelled"
    assert sorted(run.steps()) == ["echo[0]#0", "echo[1]#0"]
    assert sorted(run.steps("step_cancelled")) == ["slow[0]#0", "slow[1]#0"]


async def test_a_second_cancel_changes_nothing_and_one_after_the_end_is_refused(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    try:
        await ctx.sleep("1d")
    finally:
        await slow.run("clean-up")

@workflow
async def short() -> Any:
    return 1
""")
    run_id = await world.start()
    await world.rest()
    await world.runtime.cancel(run_id)
    await world.rest()
    again = await world.runtime.cancel(run_id)
    assert again.run_id == run_id
    await world.rest()
    assert world.stage.waiting == ["clean-up"]
    run = await world.finish(run_id)
    assert run.types.count("run_cancel_requested") == 1
    assert (await world.runtime.cancel(run_id)).status.value == "cancelled"
    done = await world.run("short")
    with pytest.raises(WrongState):
        await world.runtime.cancel(done.run_id)


async def test_a_queued_run_is_cancelled_without_ever_beginning(world: World) -> None:
    await world.load("""
@workflow(concurrency=1)
async def w(input: int) -> Any:
    return await slow.run(input)
""")
    first = await world.start("w", 1)
    await world.rest()
    waiting = await world.start("w", 2)
    await world.rest()
    assert (await world.seen(waiting)).status == "queued"
    await world.runtime.cancel(waiting)
    run = await world.seen(waiting)
    assert run.flow == ["run_created", "run_cancel_requested", "run_cancelled"]
    third = await world.start("w", 3)
    assert (await world.finish(first)).output == 1
    assert (await world.finish(third)).output == 3
    assert [value for _, value in world.stage.ledger] == [1, 3]


async def test_a_run_between_two_attempts_is_cancelled_and_never_tried_again(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=3, initial="1h", maximum="1h"))
async def w() -> Any:
    await fail.run("no")
""")
    run_id = await world.start()
    await world.rest()
    await world.runtime.cancel(run_id)
    await world.advance(8_000)
    run = await world.seen(run_id)
    assert run.status == "cancelled"
    assert world.stage.steps == ["fail#0"]
    assert await world.store.next_timer_ms() is None


async def test_a_held_run_can_be_cancelled_and_its_hooks_close(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    await echo.run(1)
    await ctx.hook()
""")
    run = await world.run()
    await world.restart("""
@workflow
async def w(ctx: Context) -> Any:
    await other.run(1)
    await ctx.hook()
""")
    with pytest.raises(KslError):
        await world.answer(run.run_id, 1, "hook#0")
    assert (await world.seen(run.run_id)).status == "held"
    await world.runtime.cancel(run.run_id)
    assert (await world.seen(run.run_id)).status == "cancelled"
    with pytest.raises(HookClosed):
        await world.answer(run.run_id, 1, "hook#0")


async def test_force_ends_the_run_at_once_without_its_clean_up(disk: World) -> None:
    await disk.load("""
@workflow
async def w(ctx: Context) -> Any:
    ctx.hook(timeout="1h")
    try:
        await asyncio.gather(slow.run("work"), ctx.sleep("1d"))
    finally:
        await echo.run("clean-up")
""")
    run_id = await disk.start()
    await disk.rest()
    await disk.runtime.cancel(run_id, force=True)
    await disk.rest()
    run = await disk.seen(run_id)
    assert run.status == "cancelled"
    assert disk.stage.steps == ["slow#0"]
    assert disk.stage.waiting == []
    assert disk.runtime.figures().slots_used == 0
    await disk.advance(90_000)
    assert (await disk.seen(run_id)).flow == run.flow


async def test_an_action_is_told_of_the_cancellation(world: World) -> None:
    await world.load("""
@action
async def careful(ctx: ActionContext) -> None:
    try:
        await stage.turn("work", 0)
    except asyncio.CancelledError:
        stage.notes.append(ctx.step_id)
        raise

@workflow
async def w() -> Any:
    await careful.run()
""")
    run_id = await world.start()
    await world.rest()
    await world.runtime.cancel(run_id)
    await world.finish(run_id)
    assert world.stage.notes == ["careful#0"]


async def test_a_timeout_of_the_workflow_cancels_the_body_and_fails_the_run_with_no_retry(
    world: World,
) -> None:
    await world.load("""
@workflow(timeout="1h", retry=Retry(attempts=5))
async def w(ctx: Context) -> Any:
    try:
        await ctx.sleep("1d")
    finally:
        await echo.run("clean-up")
""")
    run = await world.run()
    assert (run.status, run.error["type"], run.error["code"]) == ("failed", "RunTimedOut", "KSL418")
    assert "run_retrying" not in run.types
    assert world.stage.steps == ["echo#0"]
    assert await world.store.next_timer_ms() is None
    await world.crash_everywhere(run.run_id)


async def test_a_timeout_of_the_workflow_spans_restarts_and_attempts(disk: World) -> None:
    await disk.load("""
@workflow(timeout="1h", retry=Retry(attempts=5, initial="20m", maximum="20m", jitter=False, factor=1))
async def w(ctx: Context) -> Any:
    await fail.run("first", times=1)
    await ctx.sleep("1d")
""")
    run_id = await disk.start()
    await disk.advance(1_900)
    await disk.restart()
    await disk.advance(1_600)
    assert (await disk.seen(run_id)).status == "sleeping"
    await disk.advance(200)
    run = await disk.seen(run_id)
    assert (run.status, run.error["type"]) == ("failed", "RunTimedOut")


async def test_an_attempt_that_could_only_begin_after_the_timeout_is_not_waited_for(world: World) -> None:
    await world.load("""
@workflow(timeout="1h", retry=Retry(attempts=9, initial="20m", maximum="20m", jitter=False, factor=1))
async def w(ctx: Context) -> Any:
    await fail.run("again")
""")
    run = await world.run()
    assert (run.status, run.error["type"]) == ("failed", "ValueError")
    assert len(world.stage.steps) == 3
    assert await world.store.next_timer_ms() is None


async def test_a_run_that_ends_in_time_leaves_no_timer_of_its_timeout(world: World) -> None:
    await world.load("""
@workflow(timeout="1h")
async def w() -> Any:
    return await echo.run(1)
""")
    assert (await world.run()).output == 1
    assert await world.store.next_timer_ms() is None


async def test_a_queued_run_cancelled_as_its_slot_comes_free_ends_cancelled_and_loses_none(
    world: World,
) -> None:
    await world.load("""
@workflow(concurrency=1)
async def w(input: int) -> Any:
    return await slow.run(input)
""")
    first = await world.start("w", 1)
    await world.rest()
    second = await world.start("w", 2)
    await world.rest()
    for spins in range(12):
        task = asyncio.create_task(world.runtime.cancel(second))
        for _ in range(spins):
            await asyncio.sleep(0)
        if world.stage.waiting:
            world.stage.go()
        await task
        await world.rest()
        seen = await world.finish(second)
        assert seen.status == "cancelled", (spins, seen.flow)
        await world.finish(first)
        assert world.runtime.figures().slots_used == 0
        first = await world.start("w", 1)
        await world.rest()
        second = await world.start("w", 2)
        await world.rest()
    await world.finish(first)


@pytest.mark.parametrize("how", ["it stops", "its time is up"])
async def test_a_thread_that_was_told_to_stop_is_not_overlapped_by_the_next_attempt_while_it_may_go_on(
    world: World, how: str
) -> None:
    await world.load("""
leave = threading.Event()

@action
def stubborn(ctx: ActionContext) -> str:
    stage.did(ctx, ctx.cancelled.is_set())
    if len(stage.ledger) == 1:
        stage.notes.extend([leave, ctx])
        leave.wait()
    return "done"

@workflow
async def w() -> Any:
    return await stubborn.run()
""")
    attempts = world.runtime.engine.attempts
    later: list[Callable[[], object]] = []

    class Never:
        def cancel(self) -> None:
            later.clear()

    def call_later(delay_s: float, callback: Callable[[], object]) -> Never:
        assert delay_s == 5.0
        later.append(callback)
        return Never()

    attempts.call_later = call_later
    run_id = await world.start()
    while len(world.stage.notes) < 2:
        await asyncio.sleep(0)
    leave, context = world.stage.notes
    live = world.live(run_id)
    assert live is not None
    world.runtime.engine.discard(live)  # and is taken up again at once
    await world.runtime.engine.load(run_id)
    await asyncio.sleep(0)
    assert context.cancelled.is_set()
    assert attempts.of_run(run_id) == {"stubborn#0"}
    assert len(world.stage.ledger) == 1
    if how == "it stops":
        leave.set()
    else:
        later[0]()
    run = await world.finish(run_id)
    leave.set()
    assert run.output == "done"
    assert len(world.stage.ledger) == 2
    assert run.steps() == ["stubborn#0"]
