"""Two that deal with one run at once: one of them wins, and the history stays whole."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import sys

import pytest

from ksl.engine.attempt import Result
from ksl.engine.run import Run
from ksl.errors import InternalFault, WrongState

from tests.engine_fixture import Seen, World

ONE_STEP = """
@workflow
async def w(value: str) -> Any:
    return await slow.run(value)
"""
ENDINGS = {"run_completed", "run_cancelled", "run_failed"}


def whole(run: Seen) -> None:
    assert [event.seq for event in run.events] == list(range(1, len(run.events) + 1))
    assert sum(type in ENDINGS for type in run.types) == 1, run.types


@pytest.mark.parametrize("operation", ["cancel", "pause"])
async def test_what_comes_as_the_run_ends_finds_it_ended(world: World, operation: str) -> None:
    await world.load(ONE_STEP)
    run_id = await world.start(input="x")
    await world.rest()
    engine = world.runtime.engine
    on_loop = world.runtime._mending._commits.on_loop

    def end_it() -> None:
        """The step's outcome arrives just ahead of what is asked."""
        attempt = engine.attempts.in_flight.get((run_id, "slow#0"))
        if attempt is not None:
            asyncio.get_running_loop().call_soon(attempt.done, Result(data=b'"x"', value="x"))

    async def after_the_end(run: Run, act: object) -> None:
        end_it()
        await on_loop(run, act)  # type: ignore[arg-type]

    world.runtime._mending._commits.on_loop = after_the_end  # type: ignore[method-assign]
    with pytest.raises(WrongState):
        await getattr(world.runtime, operation)(run_id)
    run = await world.seen(run_id)
    whole(run)
    assert run.output == "x"


@pytest.mark.parametrize("times", [0, 1, 2, 3, 4, 5, 6, 8, 10])
async def test_a_queued_run_that_is_cancelled_as_its_turn_comes_ends_once(disk: World, times: int) -> None:
    await disk.load(ONE_STEP, settings="[queue]\nconcurrency = 1\n")
    first = await disk.start(input="first")
    second = await disk.start(input="second")
    await disk.rest()
    cancelling = asyncio.create_task(disk.runtime.cancel(second))
    for _ in range(times):
        await asyncio.sleep(0)
    disk.stage.go("first")
    await cancelling
    await disk.finish(first)
    run = await disk.finish(second)
    whole(run)
    assert run.status == "cancelled"
    third = await disk.start(input="third")  # the slot is free again
    assert (await disk.finish(third)).output == "third"


@pytest.mark.parametrize("times", range(12))
async def test_a_run_that_begins_its_next_attempt_as_it_is_cancelled_ends_once(
    disk: World, times: int
) -> None:
    await disk.load("""
@workflow(retry=Retry(attempts=2, initial="10s", jitter=False), concurrency=1)
async def w() -> Any:
    return await fail.run("no")
""")
    run_id = await disk.start()
    await disk.rest()
    disk.clock.pass_ms(11_000)
    await disk.runtime._timers.once(disk.clock.now_ms())
    for _ in range(times):
        await asyncio.sleep(0)
    try:
        await disk.runtime.cancel(run_id)
    except WrongState:
        pass
    await disk.rest()
    run = await disk.seen(run_id)
    whole(run)
    assert run.status in ("cancelled", "failed")
    assert disk.runtime._slots.used == 0


async def test_of_many_retries_at_once_one_begins(disk: World) -> None:
    await disk.load("""
@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    return await fail.run("no", times=1)
""")
    failed = await disk.run()
    assert failed.status == "failed"
    answers = await asyncio.gather(
        *(disk.runtime.retry(failed.run_id) for _ in range(5)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["RunRow"] + ["WrongState"] * 4
    run = await disk.finish(failed.run_id)
    assert (run.output, run.types.count("run_retrying")) == ("attempt 2", 1)


async def test_of_many_releases_at_once_one_is_recorded(disk: World) -> None:
    await disk.load("""
@workflow
async def w(ctx: Context) -> Any:
    await echo.run("a")
    await ctx.sleep("1h")
    return "done"
""")
    run_id = await disk.start()
    await disk.rest()
    await disk.evict(run_id)
    await disk.runtime.pause(run_id)
    answers = await asyncio.gather(*(disk.runtime.release(run_id) for _ in range(4)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["RunRow"] + ["WrongState"] * 3
    run = await disk.finish(run_id)
    assert (run.output, run.types.count("run_released")) == ("done", 1)


async def test_a_timeout_of_a_run_that_leaves_memory_again_at_once_still_comes(world: World) -> None:
    await world.load("""
@workflow(timeout="1h")
async def w(ctx: Context) -> Any:
    return await ctx.hook()
""")
    run_id = await world.start()
    await world.evict(run_id)
    engine = world.runtime.engine
    load = engine.load

    async def load_and_lose(run_id: str) -> Run:
        run = await load(run_id)
        engine.load = load  # type: ignore[method-assign]
        asyncio.get_running_loop().call_soon(engine.discard, run)
        return run

    engine.load = load_and_lose  # type: ignore[method-assign]
    await world.advance(3_601)
    await world.rest()
    run = await world.seen(run_id)
    assert run.status == "failed", run.flow
    whole(run)


@pytest.mark.parametrize("times", range(8))
async def test_a_start_whose_caller_gave_up_keeps_its_idempotency_key(disk: World, times: int) -> None:
    await disk.load(ONE_STEP)
    disk.store._writer._inline = False  # a commit takes its time
    first = asyncio.create_task(disk.start(input="x", idempotency_key="k"))
    for _ in range(times):
        await asyncio.sleep(0)
    first.cancel()
    await disk.start(input="x", idempotency_key="k")
    await disk.rest()
    assert disk.stage.steps == ["slow#0"]


async def test_an_action_sees_nothing_of_the_request_that_first_ran_it(world: World) -> None:
    await world.load("""
import contextvars
asked_by = contextvars.ContextVar("asked_by", default="nobody")

@action
async def who() -> str:
    return asked_by.get()

@workflow
async def w() -> Any:
    return await who.run()
""")
    sys.modules["workflows.main"].asked_by.set("a request")
    assert (await world.run()).output == "nobody"


async def test_a_fault_in_ksl_while_an_answer_is_taken_is_told_to_whoever_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    return await ctx.hook()
""")
    run_id = await world.start()
    await world.rest()

    def broken(*_args: object, **_options: object) -> None:
        raise LookupError("a fault")

    monkeypatch.setattr(Run, "post", broken)
    with pytest.raises(InternalFault, match="a fault"):
        await world.runtime.resume_hook(run_id, None, b"1")
    monkeypatch.undo()
    held = await world.seen(run_id)
    assert held.status == "held"
    await world.runtime.retry(run_id)
    await world.rest()
    await world.answer(run_id, 2)
    assert (await world.finish(run_id)).output == 2
