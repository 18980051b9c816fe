"""Workflows as tools of an agent: their runs need slots like any others, and may not wait."""

from __future__ import annotations

import asyncio
from textwrap import dedent
from typing import Any

import pytest

from ksl.records import RunFilter
from ksl.testing import script

from tests.engine_fixture import World

Json = dict[str, Any]
ONE_SLOT = "[queue]\nconcurrency = 1\n"


def call(name: str, **args: Any) -> Json:
    return {"name": name, "args": args}


def told(messages: Any) -> list[Any]:
    """What the newest request says of calls."""
    return [part["content"] for part in messages[-1]["parts"] if part["part_kind"] == "tool-return"]


def flow(model: str, options: str = "") -> str:
    return dedent(f"""
        @workflow{options}
        async def late(input: dict[str, Any]) -> Any:
            first = await slow.run(value=input["value"])
            return await echo.run(value=first)

        robot = Agent("robot", model={model!r}, tools=[late, slow], memory=False)

        @workflow
        async def w(input: None) -> Any:
            return (await robot.prompt("Go.")).text
    """)


async def test_with_one_slot_the_run_of_a_tool_goes_on_while_the_agent_waits_for_it(world: World) -> None:
    model = script("one", [{"calls": [call("late", value="x")]}, lambda m: told(m)[0]])
    await world.load(flow(model), settings=ONE_SLOT)

    done = await world.run()

    assert done.output == "x"
    assert world.runtime.figures().slots_used == 0
    await world.crash_everywhere(done.run_id)


async def test_tools_of_tools_and_runs_in_line_share_one_slot(world: World) -> None:
    outer = script("outer", [{"calls": [call("middle"), call("middle")]}, lambda m: str(told(m))])
    inner = script("inner", [{"calls": [call("leaf", value="x")]}, lambda m: told(m)[0]])
    await world.load(
        dedent(f"""
            @workflow
            async def leaf(input: dict[str, Any]) -> Any:
                return await slow.run(value=input["value"])

            inner = Agent("inner", model={inner!r}, tools=[leaf], memory=False)

            @workflow
            async def middle() -> Any:
                return (await inner.prompt("Go.")).text

            outer = Agent("outer", model={outer!r}, tools=[middle], memory=False)

            @workflow
            async def w(input: None) -> Any:
                return (await outer.prompt("Go.")).text
        """),
        settings=ONE_SLOT,
    )
    runs = [await world.start() for _ in range(3)]

    outputs = [(await world.finish(run_id)).output for run_id in runs]

    assert outputs == ["['x', 'x']"] * 3
    assert len((await world.store.runs(RunFilter(), limit=100)).rows) == 3 * (1 + 2 + 2)
    assert world.runtime.figures().slots_used == 0


async def test_a_workflow_that_may_run_once_at_a_time_can_be_a_tool_of_its_own_agent(world: World) -> None:
    model = script("again", [{"calls": [call("leaf", deep=True)]}, lambda m: told(m)[0]])
    await world.load(
        dedent(f"""
            robot = Agent("robot", model={model!r}, tools=[], memory=False)

            @workflow(concurrency=1)
            async def leaf(input: dict[str, Any]) -> str:
                if input["deep"]:
                    return await echo.run(value="deep")
                return (await robot.prompt("Go.")).text

            robot.tools = (leaf,)
        """)
    )

    assert (await world.run("leaf", {"deep": False})).output == "deep"


async def test_a_run_with_another_step_in_flight_keeps_its_slot(world: World) -> None:
    model = script(
        "both", [{"calls": [call("late", value="child"), call("slow", value="own")]}, lambda m: str(told(m))]
    )
    await world.load(flow(model), settings=ONE_SLOT)
    run_id = await world.start()
    await world.rest()
    assert world.stage.waiting == ["own"]  # and the child is in line

    world.stage.go("own")
    await world.rest()

    assert world.stage.waiting == ["child"]
    assert (await world.finish(run_id)).output == "['child', 'own']"


async def test_a_cancelled_agent_cancels_the_run_of_its_tool_and_frees_the_slot(world: World) -> None:
    model = script("cancelled", [{"calls": [call("late", value="x")]}, "not reached"])
    await world.load(flow(model), settings=ONE_SLOT)
    run_id = await world.start()
    await world.rest()
    assert world.stage.waiting == ["x"]

    await world.runtime.cancel(run_id)
    await world.rest()

    rows = (await world.store.runs(RunFilter())).rows
    assert {row.workflow: row.status.value for row in rows} == {"w": "cancelled", "late": "cancelled"}
    assert world.runtime.figures().slots_used == 0


async def test_a_server_that_stops_does_not_wait_for_the_run_of_a_tool(disk: World) -> None:
    model = script("stopping", [{"calls": [call("late", value="x")]}, lambda m: told(m)[0]])
    await disk.load(flow(model), settings=ONE_SLOT)
    run_id = await disk.start()
    await disk.rest()
    disk.stage.go("x")  # the child has another step, which a server that stops does not begin

    async with asyncio.timeout(5):
        await disk.runtime.close(drain_s=60)
    disk._runtime = None  # pyright: ignore[reportPrivateUsage]
    await disk.restart()

    await disk.runtime.settled(run_id, timeout_s=60)

    assert (await disk.seen(run_id)).output == "x"


@pytest.mark.parametrize(
    "wait",
    [
        "await ctx.sleep('1h')",
        "await ctx.hook()",
        "await asyncio.sleep(1)",
        "async with asyncio.timeout(5): await echo.run(value=1)",
        "await asyncio.wait_for(echo.run(value=1), 5)",
        "await careful.prompt('Go.')",
    ],
)
async def test_a_tool_that_waits_fails_at_once_by_name(world: World, wait: str) -> None:
    model = script("waiter", [{"calls": [call("wait")]}, "not reached"])
    careful = script("careful", [{"calls": [call("echo", value=1)]}, "not reached"])
    await world.load(
        dedent(f"""
            careful = Agent("careful", model={careful!r}, tools=[requires_approval(echo)], memory=False)

            @workflow
            async def wait(ctx: Context) -> str:
                {wait}
                return "?"

            robot = Agent("robot", model={model!r}, tools=[wait], memory=False)

            @workflow
            async def w(input: None) -> str:
                return (await robot.prompt("Go.")).text
        """)
    )

    failed = await world.run()

    assert failed.status == "failed"
    assert failed.error["type"] == "ToolCannotWait"
    assert "run_2" in failed.error["message"]
    assert world.stage.steps == []
    assert failed.steps("step_retrying") == []
    assert "run_retrying" not in failed.types
    (tool,) = [row for row in (await world.store.runs(RunFilter())).rows if row.workflow == "wait"]
    assert tool.attempt == 1


async def test_a_tool_run_may_let_others_run_without_waiting(world: World) -> None:
    model = script("polite", [{"calls": [call("polite")]}, lambda m: told(m)[0]])
    await world.load(
        dedent(f"""
            @workflow
            async def polite() -> str:
                await asyncio.sleep(0)
                async with asyncio.timeout(None):
                    return await echo.run(value="done")

            robot = Agent("robot", model={model!r}, tools=[polite], memory=False)

            @workflow
            async def w(input: None) -> str:
                return (await robot.prompt("Go.")).text
        """)
    )

    assert (await world.run()).output == "done"


async def test_a_failed_run_of_a_tool_is_tried_again_with_the_step_that_it_was_for(world: World) -> None:
    model = script("mended", [{"calls": [call("wait")]}, lambda m: told(m)[0]])
    text = dedent(f"""
        @workflow
        async def wait(ctx: Context) -> str:
            done = await echo.run(value="before")
            LINE
            return done

        robot = Agent("robot", model={model!r}, tools=[wait], memory=False)

        @workflow
        async def w(input: None) -> str:
            return (await robot.prompt("Go.")).text
    """)
    await world.load(text.replace("LINE", "await ctx.sleep('1h')"))
    failed = await world.run()
    assert failed.error["type"] == "ToolCannotWait"

    await world.restart(text.replace("LINE", "pass"))
    await world.runtime.retry(failed.run_id, by="ada")
    done = await world.finish(failed.run_id)

    assert done.output == "before"
    assert world.stage.steps == ["echo#0"]  # what the run of the tool had recorded stands
    assert len((await world.store.runs(RunFilter())).rows) == 2


async def test_the_run_of_a_tool_has_the_subscriber_of_its_agent_s_run(world: World) -> None:
    model = script("of-ada", [{"calls": [call("whose")]}, lambda m: told(m)[0]])
    await world.load(
        dedent(f"""
            @workflow
            async def whose(ctx: Context) -> str:
                return str(ctx.subscriber)

            robot = Agent("robot", model={model!r}, tools=[whose], memory=False)

            @workflow
            async def w(input: None) -> str:
                return (await robot.prompt("Go.")).text
        """)
    )

    assert (await world.finish(await world.start(subscriber="ada"))).output == "ada"
