"""Mistakes of authors that would pass unseen, or be told in somebody else's words."""

from __future__ import annotations

from tests.engine_fixture import World


async def test_a_step_that_nothing_awaits_is_told_of_with_its_line(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    forgotten = echo.run("x")
    await bounded(1, [echo.run("y")])
    return 1
""")
    run = await world.run()
    assert run.output == 1
    said = [str(line["message"]) for line in world.runtime.logs(run.run_id)]
    assert len(said) == 1
    assert said[0].startswith("step echo#0 was called at ")
    assert said[0].endswith("main.py:8 and never awaited, so it did not run")


async def test_a_field_of_a_step_that_was_not_awaited_is_missed_in_our_words(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    said = echo.run("x")
    return said.text
""")
    run = await world.run()
    assert run.status == "failed"
    assert run.error["type"] == "AttributeError"
    assert run.error["message"].startswith(
        "'text' is looked for on the call of step echo#0, not on its result: write `await` before the call at "
    )
    assert run.error["message"].endswith("main.py:8")


async def test_io_that_a_library_wraps_in_a_group_is_refused_in_our_words(world: World) -> None:
    await world.load("""
import socket

async def deep() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(deeper())

async def deeper() -> None:
    socket.socket()

@workflow
async def w() -> Any:
    await deep()
""")
    run = await world.run()
    assert run.status == "failed"
    assert run.error["type"] == "RealIoInBody"
    assert run.error["code"] == "KSL405"
    assert "main.py:13" in run.error["message"]
