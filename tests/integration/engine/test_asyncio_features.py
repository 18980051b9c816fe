"""What asyncio offers works in a body, live and replayed from a log cut after any of its turns."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine_fixture import World

BODIES: dict[str, tuple[str, Any]] = {
    "gather_gives_results_in_order_whatever_their_speed": (
        """
@workflow
async def w() -> Any:
    return await asyncio.gather(slow.run("a", rank=3), slow.run("b", rank=1), slow.run("c", rank=2))
""",
        ["a", "b", "c"],
    ),
    "gather_with_return_exceptions_gives_the_failure_in_its_place": (
        """
@workflow
async def w() -> Any:
    got = await asyncio.gather(slow.run(1), fail.run("no"), return_exceptions=True)
    return [got[0], str(got[1])]
""",
        [1, "step fail#0 failed: ValueError: no"],
    ),
    "a_task_group_cancels_siblings_and_except_star_catches": (
        """
@workflow
async def w() -> Any:
    seen = []
    async def sibling():
        try:
            await slow.run("never", rank=9)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
    async def breaks():
        await slow.run("first")
        await fail.run("broken")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sibling())
            group.create_task(breaks())
    except* StepFailed as failures:
        seen += [f.message for f in failures.exceptions]
    await echo.run("after")
    return seen
""",
        ["cancelled", "broken"],
    ),
    "wait_first_completed_tells_the_same_winner": (
        """
@workflow
async def w() -> Any:
    calls = {slow.run("a", rank=2): "a", slow.run("b", rank=1): "b", slow.run("c", rank=3): "c"}
    order = []
    pending = set(calls)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        order += [calls[each] for each in done]
        await echo.run(order[-1])
    return order
""",
        ["b", "a", "c"],
    ),
    "wait_on_tasks_hands_out_sets_in_the_same_order": (
        """
@workflow
async def w() -> Any:
    async def branch(n):
        await slow.run(n, rank=-n)
        return n
    tasks = [asyncio.create_task(branch(n)) for n in range(5)]
    done, _ = await asyncio.wait(tasks)
    return [await echo.run(task.result()) for task in done]
""",
        None,
    ),
    "as_completed_of_ksl_goes_by_arrival": (
        """
@workflow
async def w() -> Any:
    got = []
    async for value in as_completed([slow.run("a", rank=2), slow.run("b", rank=1)]):
        got.append(await echo.run(value))
    return got
""",
        ["b", "a"],
    ),
    "as_completed_over_coroutines_goes_by_arrival": (
        """
async def two(name, rank):
    await slow.run(name, rank=rank)
    return await slow.run(name * 2, rank=rank)

@workflow
async def w() -> Any:
    return [value async for value in as_completed([two("a", 3), two("b", 2), two("c", 1)])]
""",
        ["cc", "bb", "aa"],
    ),
    "as_completed_left_by_break_cancels_the_rest": (
        """
@workflow
async def w() -> Any:
    async for value in as_completed([slow.run("a", rank=2), slow.run("b", rank=1)]):
        break
    return await echo.run(value)
""",
        "b",
    ),
    "asyncio_as_completed_of_step_calls_goes_by_arrival": (
        """
@workflow
async def w() -> Any:
    calls = [slow.run("a", rank=2), slow.run("b", rank=1)]
    return [await each for each in asyncio.as_completed(calls)]
""",
        ["b", "a"],
    ),
    "wait_for_that_fires_cancels_the_step": (
        """
@workflow
async def w(ctx: Context) -> Any:
    try:
        await asyncio.wait_for(ctx.sleep(60), 5)
    except TimeoutError:
        return await echo.run("late")
""",
        "late",
    ),
    "wait_for_that_does_not_fire_gives_the_result": (
        """
@workflow
async def w() -> Any:
    return await echo.run(await asyncio.wait_for(slow.run(1), 3600))
""",
        1,
    ),
    "a_timeout_that_fires_can_be_caught": (
        """
@workflow
async def w(ctx: Context) -> Any:
    try:
        async with asyncio.timeout(5):
            await ctx.sleep(60)
    except TimeoutError:
        await ctx.sleep(1)
        return "late"
""",
        "late",
    ),
    "a_timeout_that_does_not_fire_leaves_nothing": (
        """
@workflow
async def w(ctx: Context) -> Any:
    async with asyncio.timeout(60):
        await ctx.sleep(5)
    return await echo.run("in time")
""",
        "in time",
    ),
    "shield_lets_the_step_go_on": (
        """
@workflow
async def w() -> Any:
    call = slow.run("kept")
    try:
        await asyncio.wait_for(asyncio.shield(call), 0)
    except TimeoutError:
        pass
    return await call
""",
        "kept",
    ),
    "a_queue_hands_over_between_branches": (
        """
@workflow
async def w() -> Any:
    queue = asyncio.Queue(maxsize=1)
    async def make():
        for n in range(4):
            await queue.put(await slow.run(n))
        await queue.put(None)
    async def take():
        got = []
        while (n := await queue.get()) is not None:
            got.append(await echo.run(n * 10))
        return got
    _, got = await asyncio.gather(make(), take())
    return got
""",
        [0, 10, 20, 30],
    ),
    "an_event_wakes_every_waiter": (
        """
@workflow
async def w() -> Any:
    ready = asyncio.Event()
    async def waits(n):
        await ready.wait()
        return await echo.run(n)
    async def sets():
        await slow.run("go")
        ready.set()
    return (await asyncio.gather(waits(1), waits(2), sets()))[:2]
""",
        [1, 2],
    ),
    "a_lock_lets_one_branch_in_at_a_time": (
        """
@workflow
async def w() -> Any:
    lock, trail = asyncio.Lock(), []
    async def branch(n):
        async with lock:
            trail.append(f"in {n}")
            await slow.run(n, rank=-n)
            trail.append(f"out {n}")
    await asyncio.gather(*(branch(n) for n in range(3)))
    return trail
""",
        ["in 0", "out 0", "in 1", "out 1", "in 2", "out 2"],
    ),
    "a_semaphore_lets_two_in": (
        """
@workflow
async def w() -> Any:
    gate, inside, most = asyncio.Semaphore(2), 0, 0
    async def branch(n):
        nonlocal inside, most
        async with gate:
            inside += 1
            most = max(most, inside)
            await slow.run(n)
            inside -= 1
    await asyncio.gather(*(branch(n) for n in range(5)))
    return most
""",
        2,
    ),
    "a_condition_wakes_its_waiters": (
        """
@workflow
async def w() -> Any:
    condition, box = asyncio.Condition(), []
    async def take():
        async with condition:
            await condition.wait_for(lambda: box)
            return await echo.run(box.pop())
    async def put():
        await slow.run(0)
        async with condition:
            box.append("x")
            condition.notify_all()
    return (await asyncio.gather(take(), put()))[0]
""",
        "x",
    ),
    "an_async_generator_left_by_break_runs_its_clean_up": (
        """
async def numbers(trail):
    try:
        for n in range(10):
            yield await echo.run(n)
    finally:
        trail.append("closed")

@workflow
async def w() -> Any:
    trail = []
    async for n in numbers(trail):
        if n == 2:
            break
    await slow.run("then")
    return [n, trail]
""",
        [2, ["closed"]],
    ),
    "an_async_context_manager_cleans_up_with_steps": (
        """
import contextlib

@contextlib.asynccontextmanager
async def held(name):
    await echo.run(f"take {name}")
    try:
        yield name
    finally:
        await other.run(f"give {name}")

@workflow
async def w() -> Any:
    async with held("x") as name:
        return await slow.run(name)
""",
        "x",
    ),
    "context_variables_follow_the_branches": (
        """
place = contextvars.ContextVar("place", default="none")

async def branch(n):
    place.set(f"branch {n}")
    await slow.run(n, rank=-n)
    return place.get()

@workflow
async def w() -> Any:
    before = place.get()
    place.set("body")
    return [before, *await asyncio.gather(branch(0), branch(1)), place.get()]
""",
        ["none", "branch 0", "branch 1", "body"],
    ),
    "a_future_of_the_body_is_set_by_a_branch": (
        """
@workflow
async def w() -> Any:
    future = asyncio.get_running_loop().create_future()
    async def sets():
        future.set_result(await slow.run("set"))
    task = asyncio.create_task(sets())
    got = await future
    await task
    return got
""",
        "set",
    ),
    "a_task_that_is_cancelled_records_the_step_as_cancelled": (
        """
@workflow
async def w() -> Any:
    task = asyncio.create_task(slow.run("never", rank=9))
    await slow.run("first")
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    return await echo.run("on")
""",
        "on",
    ),
    "bounded_keeps_its_order_and_its_width": (
        """
@workflow
async def w() -> Any:
    return await bounded(2, [slow.run(n, rank=-n) for n in range(5)])
""",
        [0, 1, 2, 3, 4],
    ),
    "bounded_over_coroutines_gives_each_its_own_place": (
        """
async def two(n):
    await slow.run(n, rank=-n)
    return await slow.run(n * 10, rank=n)

@workflow
async def w() -> Any:
    return await bounded(2, (two(n) for n in range(4)))
""",
        [0, 10, 20, 30],
    ),
    "bounded_stops_at_the_first_failure_and_starts_no_more": (
        """
@workflow
async def w() -> Any:
    try:
        await bounded(2, [slow.run("a", rank=5), fail.run("no"), slow.run("never")])
    except StepFailed as error:
        return await echo.run(error.message)
""",
        "no",
    ),
    "two_branches_of_a_helper_keep_their_own_data": (
        """
async def branch(name, ranks):
    first = await slow.run(f"{name}1", rank=ranks[0])
    return first, await slow.run(f"{first}-{name}2", rank=ranks[1])

@workflow
async def w() -> Any:
    return await asyncio.gather(branch("a", (4, 1)), branch("b", (2, 3)))
""",
        [["a1", "a1-a2"], ["b1", "b1-b2"]],
    ),
    "sub_workflows_side_by_side_keep_their_own_data": (
        """
@workflow
async def inner(name: str, ctx: Context) -> list[str]:
    await ctx.sleep(len(name))
    first = await slow.run(f"{name}1", rank=-len(name))
    return [first, await slow.run(f"{name}2", rank=len(name))]

@workflow
async def w() -> Any:
    return await asyncio.gather(inner.run("a"), inner.run("bbb"), inner.run("cc"))
""",
        [["a1", "a2"], ["bbb1", "bbb2"], ["cc1", "cc2"]],
    ),
    "a_race_of_a_step_and_a_sleep_has_the_same_winner": (
        """
@workflow
async def w(ctx: Context) -> Any:
    step, sleep = slow.run("step"), ctx.sleep(5)
    done, pending = await asyncio.wait([step, sleep], return_when=asyncio.FIRST_COMPLETED)
    for each in pending:
        each.cancel()
    return await echo.run("step" if step in done else "sleep")
""",
        "step",
    ),
    "time_random_and_uuids_are_the_same": (
        """
@workflow
async def w(ctx: Context) -> Any:
    got = [str(ctx.now()), ctx.random().random(), str(ctx.uuid()), asyncio.get_running_loop().time()]
    await ctx.sleep(3.7)
    got += [str(ctx.now()), ctx.random().random(), asyncio.get_running_loop().time()]
    return await echo.run(got)
""",
        None,
    ),
    "asyncio_sleep_is_a_durable_timer": (
        """
@workflow
async def w(ctx: Context) -> Any:
    before = ctx.now()
    await asyncio.sleep(0)
    await asyncio.sleep(90)
    await echo.run(1)
    return (ctx.now() - before).total_seconds() >= 90
""",
        True,
    ),
    "a_step_started_in_a_generator_expression_of_gather": (
        """
@workflow
async def w() -> Any:
    return await asyncio.gather(*(slow.run(n, rank=-n) for n in range(4)))
""",
        [0, 1, 2, 3],
    ),
    "try_finally_around_a_failing_step_runs_its_clean_up_once": (
        """
@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    try:
        await slow.run("work")
        await fail.run("broken")
    finally:
        await other.run("clean")
""",
        StopIteration,
    ),
    "match_loops_and_conditions_over_results": (
        """
@workflow
async def w() -> Any:
    out = []
    for n in range(4):
        match await slow.run(n):
            case 0 | 2:
                out.append(await echo.run("even"))
            case k if k > 2:
                out.append(await other.run("big"))
            case _:
                continue
    return out
""",
        ["even", "even", "big"],
    ),
}


@pytest.mark.parametrize("name", BODIES)
async def test_from_every_cut_of_its_log_a_run_goes_on_to_the_same_end(world: World, name: str) -> None:
    text, output = BODIES[name]
    await world.load(text)
    run = await world.run()
    if output is StopIteration:
        assert run.status == "failed"
    else:
        assert output is None or run.output == output
    await world.crash_everywhere(run.run_id)


async def test_two_hundred_branches_of_two_steps_each_keep_their_own_data(disk: World) -> None:
    await disk.load("""
async def branch(n):
    first = await slow.run(n, rank=n * 7 % 200)
    return first, await slow.run(first + 1000, rank=n * 11 % 200)

@workflow
async def w() -> Any:
    return await asyncio.gather(*(branch(n) for n in range(200)))
""")
    run_id = await disk.start()
    for cut in range(4):
        for _ in range(60):
            await disk.rest()
            if disk.stage.waiting:
                disk.stage.go()
        await (disk.restart() if cut % 2 else disk.reload(run_id))
    run = await disk.finish(run_id)
    assert run.output == [[n, n + 1000] for n in range(200)]


async def test_dropping_a_run_after_each_single_event_changes_nothing(disk: World) -> None:
    await disk.load("""
async def branch(name, ranks):
    first = await slow.run(f"{name}1", rank=ranks[0])
    return first, await slow.run(f"{first}-{name}2", rank=ranks[1])

@workflow
async def w() -> Any:
    return await asyncio.gather(branch("a", (4, 1)), branch("b", (2, 3)), branch("c", (3, 0)))
""")
    run_id = await disk.start()
    await disk.rest()
    while disk.stage.waiting:
        await disk.reload(run_id)
        disk.stage.go()
        await disk.rest()
    run = await disk.seen(run_id)
    assert run.output == [["a1", "a1-a2"], ["b1", "b1-b2"], ["c1", "c1-c2"]]
    assert len(run.steps()) == 6


async def test_a_generator_left_by_break_in_a_sub_workflow_cleans_up_with_steps(world: World) -> None:
    await world.load("""
async def numbers():
    try:
        for n in range(5):
            yield await echo.run(n)
    finally:
        await other.run("closed")

@workflow
async def inner() -> Any:
    async for n in numbers():
        if n == 1:
            break
    await slow.run("x")
    return n

@workflow
async def w() -> Any:
    return [await inner.run(), await inner.run()]
""")
    run = await world.run()
    assert run.output == [1, 1]
    await world.crash_everywhere(run.run_id)


async def test_generators_left_by_break_in_two_branches_clean_up_each_with_its_step(world: World) -> None:
    await world.load("""
async def numbers(k):
    try:
        for n in range(5):
            yield await echo.run(n)
    finally:
        await other.run(k)

async def branch(k):
    async for n in numbers(k):
        if n == 1:
            break
    await slow.run(k, rank=-k)
    return k

@workflow
async def w() -> Any:
    return await asyncio.gather(branch(1), branch(2))
""")
    run = await world.run()
    assert run.output == [1, 2]
    await world.crash_everywhere(run.run_id)


async def test_a_timer_of_no_delay_that_is_cancelled_does_not_fire(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    loop = asyncio.get_running_loop()
    out = []
    h = loop.call_later(0, out.append, "never")
    h.cancel()
    g = loop.call_later(-1, out.append, "now")
    await asyncio.sleep(0)
    await echo.run(1)
    return out
""")
    run = await world.run()
    assert run.output == ["now"]
    assert not world.runtime.logs(run.run_id)
