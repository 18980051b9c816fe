"""What a body must not do is refused with its line; what goes wrong in one run stays in it."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine_fixture import World

REFUSED = {
    "await asyncio.open_connection('127.0.0.1', 9)": "network",
    "await asyncio.start_server(print, '127.0.0.1', 0)": "network",
    "await asyncio.to_thread(print)": "thread",
    "await asyncio.get_running_loop().run_in_executor(None, print)": "thread",
    "await asyncio.create_subprocess_exec('true')": "subprocess",
    "asyncio.get_running_loop().call_soon_threadsafe(print)": "thread",
    "asyncio.get_running_loop().add_reader(0, print)": "file descriptor",
    "await asyncio.get_running_loop().getaddrinfo('localhost', 80)": "network",
    "import socket; socket.create_connection(('127.0.0.1', 9))": "network",
    "import socket; socket.socket()": "socket",
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')": "network",
    "threading.Thread(target=print).start()": "thread",
    "import subprocess; subprocess.run(['true'])": "subprocess",
}


@pytest.mark.parametrize("line", REFUSED)
async def test_real_io_and_threads_in_a_body_are_refused_with_its_line(world: World, line: str) -> None:
    await world.load(f"""
@workflow
async def w() -> Any:
    await echo.run(1)
    {line}
""")
    run = await world.run()
    assert run.status == "failed", run.events[-1]
    assert (run.error["type"], run.error["code"]) == ("RealIoInBody", "KSL405")
    assert "main.py:9" in run.error["message"]
    assert "action" in run.error["message"]
    assert "run_retrying" not in run.types


async def test_a_future_of_another_loop_is_refused_with_its_line(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    await stage.foreign
""")
    world.stage.foreign = asyncio.get_running_loop().create_future()  # type: ignore[attr-defined]
    run = await world.run()
    assert (run.error["type"], run.error["code"]) == ("RealIoInBody", "KSL405")
    assert "main.py:8" in run.error["message"]


async def test_a_body_that_spins_without_waiting_fails_with_its_line(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    while True:
        await asyncio.sleep(0)
""")
    run = await world.run()
    assert (run.error["type"], run.error["code"]) == ("RunawayBody", "KSL411")
    assert "main.py:9" in run.error["message"]


@pytest.mark.parametrize(
    "line", ["await asyncio.Event().wait()", "await asyncio.get_running_loop().create_future()"]
)
async def test_a_body_that_waits_for_what_cannot_happen_fails_with_its_line(world: World, line: str) -> None:
    await world.load(f"""
@workflow
async def w() -> Any:
    await echo.run(1)
    {line}
""")
    run = await world.run()
    assert (run.error["type"], run.error["code"]) == ("RunStuck", "KSL410")
    assert "main.py:9" in run.error["message"]


async def test_more_steps_than_the_limit_fail_the_run(world: World) -> None:
    await world.load(
        """
@workflow
async def w() -> Any:
    for n in range(20):
        await echo.run(n)
""",
        settings="[limits]\nsteps = 10\n",
    )
    run = await world.run()
    assert (run.error["type"], run.error["code"]) == ("TooManySteps", "KSL412")
    assert len(world.stage.ledger) == 10


async def test_a_callback_that_raises_is_logged_and_the_run_goes_on(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    def broken():
        raise ValueError("in a callback")
    asyncio.get_running_loop().call_soon(broken)
    return await echo.run(1)
""")
    run = await world.run()
    assert run.output == 1
    assert "in a callback" in str(world.runtime.logs(run.run_id))


async def test_a_task_that_nobody_awaits_ends_with_the_run(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    async def background():
        await slow.run("never", rank=9)
    task = asyncio.create_task(background())
    return await slow.run("done")
""")
    run = await world.run()
    assert run.output == "done"
    assert run.flow[2:] == ["step_completed slow~2#0", "step_cancelled slow[0]#0", "run_completed"]
    assert world.stage.waiting == []
    await world.crash_everywhere(run.run_id)


async def test_a_step_that_is_made_and_never_awaited_never_runs(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    echo.run("forgotten")
    return await echo.run("awaited")
""")
    run = await world.run()
    assert run.output == "awaited"
    assert run.steps() == ["echo~2#0"]


async def test_the_loops_state_is_whole_after_a_body_failed_in_every_way(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=1))
async def w(input: str) -> Any:
    if input == "exit":
        raise SystemExit(1)
    if input == "spin":
        while True:
            await asyncio.sleep(0)
    if input == "stuck":
        await asyncio.Event().wait()
    raise ValueError("x")
""")
    for kind in ("exit", "spin", "stuck", "raise"):
        assert (await world.run("w", kind)).status == "failed"
        assert asyncio.get_running_loop().is_running()
        assert asyncio.current_task() is not None
    assert world.runtime.figures().slots_used == 0
    assert world.runtime.figures().resident_runs == 0


@pytest.mark.parametrize("kind", ["finally", "except", "with", "generator"])
async def test_taking_a_run_out_of_memory_has_no_effect_though_its_clean_up_code_runs(
    world: World, kind: str
) -> None:
    bodies = {
        "finally": """
    try:
        await ctx.hook()
    finally:
        await echo.run("clean-up")
        asyncio.create_task(echo.run("task"))
        await ctx.sleep(1)
""",
        "except": """
    try:
        await ctx.hook()
    except BaseException:
        await echo.run("caught")
        return 1
""",
        "with": """
    async with asyncio.TaskGroup() as group:
        group.create_task(slow.run("a", rank=9))
        await ctx.hook()
""",
        "generator": """
    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            await echo.run("clean-up")
    async for n in numbers():
        await ctx.hook()
""",
    }
    await world.load(f"""
@workflow
async def w(ctx: Context) -> Any:{bodies[kind]}
    return "through"
""")
    run_id = await world.start()
    await world.rest()
    before = await world.seen(run_id)
    did = [value for _, value in world.stage.ledger]
    await world.evict(run_id)
    after = await world.seen(run_id)
    assert after.flow == before.flow
    assert [value for _, value in world.stage.ledger] == did
    assert world.live(run_id) is None


async def test_runs_beyond_the_resident_few_leave_memory_and_still_finish(disk: World) -> None:
    disk.resident_max = 3
    await disk.load("""
@workflow
async def w(input: int, ctx: Context) -> Any:
    await ctx.sleep(60 + input)
    answer = await ctx.hook()
    await ctx.sleep("1h")
    return [input, answer, await echo.run(input)]
""")
    runs = [await disk.start("w", n) for n in range(30)]
    await disk.rest()
    assert disk.runtime.figures().resident_runs <= 4
    await disk.advance(120)
    assert disk.runtime.figures().resident_runs <= 4
    for n, run_id in enumerate(runs):
        await disk.answer(run_id, n * 10)
    assert disk.runtime.figures().resident_runs <= 4
    await disk.advance(3_700)
    outputs = [(await disk.seen(run_id)).output for run_id in runs]
    assert outputs == [[n, n * 10, n] for n in range(30)]
    assert disk.runtime.figures().slots_used == 0


async def test_no_more_runs_are_advanced_at_once_than_the_queue_allows_in_their_order(world: World) -> None:
    await world.load(
        """
@workflow
async def w(input: int) -> Any:
    return await slow.run(input)
""",
        settings="[queue]\nconcurrency = 2\n",
    )
    runs = [await world.start("w", n) for n in range(6)]
    await world.rest()
    assert world.stage.waiting == [0, 1]
    assert [(await world.seen(run_id)).status for run_id in runs] == ["running"] * 2 + ["queued"] * 4
    for run_id in runs:
        await world.finish(run_id)
    assert [value for _, value in world.stage.ledger] == list(range(6))


async def test_a_waiting_run_holds_no_slot_and_lines_up_for_one_when_it_wakes(world: World) -> None:
    await world.load(
        """
@workflow
async def naps(ctx: Context) -> Any:
    await ctx.sleep(1)
    return await echo.run("woken")

@workflow
async def w(input: int) -> Any:
    return await slow.run(input)
""",
        settings="[queue]\nconcurrency = 1\n",
    )
    nap = await world.start("naps")
    await world.rest()
    busy = await world.start("w", 1)
    await world.rest()
    assert world.stage.waiting == [1]
    await world.advance(2)
    assert world.stage.steps == ["slow#0"]
    await world.finish(busy)
    assert (await world.finish(nap)).output == "woken"
    assert world.runtime.figures().slots_used == 0


async def test_a_run_cancelled_while_it_waits_for_a_slot_to_go_on_leaves_none_taken(world: World) -> None:
    await world.load(
        """
@workflow
async def naps(ctx: Context) -> Any:
    await ctx.sleep(1)
    return await echo.run("woken")

@workflow
async def w(input: int) -> Any:
    return await slow.run(input)
""",
        settings="[queue]\nconcurrency = 1\n",
    )
    nap = await world.start("naps")
    await world.rest()
    busy = await world.start("w", 1)
    await world.advance(2)
    await world.runtime.cancel(nap)
    await world.finish(busy)
    assert (await world.finish(nap)).status == "cancelled"
    assert world.runtime.figures().slots_used == 0
    assert (await world.run("w", 2)).output == 2


async def test_two_steps_that_wake_a_run_at_once_take_one_slot_and_give_it_back(world: World) -> None:
    await world.load(
        """
@workflow(concurrency=1)
async def naps(ctx: Context) -> Any:
    async def branch(n):
        await ctx.sleep(1)
        return await echo.run(n)
    return await asyncio.gather(branch(1), branch(2))

@workflow
async def w(input: int) -> Any:
    return await slow.run(input)
""",
        settings="[queue]\nconcurrency = 1\n",
    )
    nap = await world.start("naps")
    await world.rest()
    busy = await world.start("w", 1)
    await world.advance(2)
    await world.finish(busy)
    assert (await world.finish(nap)).output == [1, 2]
    assert (await world.run("naps")).output == [1, 2]
    assert world.runtime.figures().slots_used == 0


async def test_queued_runs_survive_a_restart_and_keep_their_order_among_themselves(disk: World) -> None:
    await disk.load(
        """
@workflow(concurrency=1)
async def w(input: int) -> Any:
    return await slow.run(input)
"""
    )
    runs = [await disk.start("w", n) for n in range(4)]
    await disk.rest()
    await disk.restart()
    for run_id in runs:
        await disk.finish(run_id)
    began = [value for _, value in disk.stage.ledger]
    assert began.count(0) == 2  # cut off by the restart
    assert [value for value in began if value] == [1, 2, 3]
    assert [(await disk.seen(run_id)).output for run_id in runs] == [0, 1, 2, 3]
