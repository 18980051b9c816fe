"""Step ids, exactly as the contract writes them."""

from __future__ import annotations

from tests.engine_fixture import World


async def test_sites_of_one_callee_are_numbered_in_source_order_and_visits_from_zero(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    for n in range(2):
        await echo.run(n)
    await other.run(1)
    await echo.run(2)
    await echo.run(3)
""")
    run = await world.run()
    assert run.steps() == ["echo#0", "echo#1", "other#0", "echo~2#0", "echo~3#0"]


async def test_a_branch_of_gather_carries_its_task_place_nested_ones_too(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    async def leaf(n):
        return await echo.run(n)
    async def branch(n):
        return [await echo.run(n), await asyncio.gather(leaf(n), leaf(n + 1))]
    return await asyncio.gather(branch(0), branch(10))
""")
    run = await world.run()
    assert sorted(run.steps()) == sorted(
        ["echo~2[0]#0", "echo~2[1]#0", "echo[0.0]#0", "echo[0.1]#0", "echo[1.0]#0", "echo[1.1]#0"]
    )
    assert run.output == [[0, [0, 1]], [10, [10, 11]]]


async def test_step_calls_handed_to_gather_take_no_place(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    await asyncio.gather(echo.run(1), echo.run(2))
    await asyncio.gather(*[echo.run(n) for n in range(2)])
""")
    run = await world.run()
    assert run.steps() == ["echo#0", "echo~2#0", "echo~3#0", "echo~3#1"]


async def test_create_task_of_a_step_call_takes_no_place_and_shifts_none(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    async def branch():
        await echo.run("branch")
    async with asyncio.TaskGroup() as group:
        group.create_task(echo.run("group"))
        group.create_task(branch())
    await asyncio.create_task(echo.run("loose"))
    await asyncio.create_task(branch())
""")
    run = await world.run()
    assert sorted(run.steps()) == ["echo[0]#0", "echo[1]#0", "echo~2#0", "echo~3#0"]


async def test_steps_of_a_sub_workflow_lie_below_its_own_id(world: World) -> None:
    await world.load("""
@workflow
async def score(n: int, ctx: Context) -> int:
    await ctx.sleep(1)
    return await echo.run(n)

@workflow
async def w() -> Any:
    return [await score.run(n) for n in (3, 4)]
""")
    run = await world.run()
    assert run.output == [3, 4]
    assert run.steps() == ["score#0/echo#0", "score#0", "score#1/echo#0", "score#1"]
    assert run.steps("sleep_completed") == ["score#0/sleep#0", "score#1/sleep#0"]


async def test_a_sub_workflow_in_a_branch_keeps_the_place_in_its_own_id_only(world: World) -> None:
    await world.load("""
@workflow
async def inner(n: int) -> Any:
    async def leaf():
        return await echo.run(n)
    return await asyncio.gather(leaf(), leaf())

@workflow
async def w() -> Any:
    async def branch(n):
        return await inner.run(n)
    return await asyncio.gather(branch(1), branch(2))
""")
    run = await world.run()
    assert run.output == [[1, 1], [2, 2]]
    assert set(run.steps()) == {
        "inner[0]#0", "inner[1]#0",
        "inner[0]#0/echo[0]#0", "inner[0]#0/echo[1]#0", "inner[1]#0/echo[0]#0", "inner[1]#0/echo[1]#0",
    }  # fmt: skip


async def test_body_timers_are_numbered_with_their_place(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    await asyncio.sleep(1)
    async def branch():
        await asyncio.sleep(2)
    await asyncio.gather(branch(), branch())
    await asyncio.sleep(1)
""")
    run = await world.run()
    assert run.steps("timer_started") == ["timer#0", "timer[0]#0", "timer[1]#0", "timer#1"]
    assert run.steps("timer_fired") == run.steps("timer_started")


async def test_sleeps_and_hooks_are_named_by_what_they_are(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    await ctx.sleep(1)
    await ctx.sleep(1)
    return await ctx.hook(name="whatever")
""")
    run = await world.run()
    assert run.flow[2:] == [
        "sleep_started sleep#0", "sleep_completed sleep#0", "sleep_started sleep~2#0",
        "sleep_completed sleep~2#0", "hook_created hook#0",
    ]  # fmt: skip
    await world.answer(run.run_id, 7)
    assert (await world.seen(run.run_id)).output == 7


async def test_calls_to_other_callees_and_lines_added_leave_every_id_as_it_was(world: World) -> None:
    await world.load("""
async def helper(n):
    return await echo.run(n)

@workflow
async def w() -> Any:
    await echo.run(1)
    await asyncio.gather(helper(2), helper(3))
    await echo.run(4)
""")
    before = await world.run()
    await world.restart("""


# Moved down.
async def helper(n):
    await other.run("new")
    return await echo.run(n)

@workflow
async def w() -> Any:
    await other.run("new")
    await echo.run(1)
    await asyncio.gather(helper(2), helper(3))
    await other.run("new")
    await echo.run(4)
""")
    after = await world.run()
    assert [step for step in after.steps() if step.startswith("echo")] == before.steps()
    assert set(before.steps()) == {"echo~2#0", "echo[0]#0", "echo[1]#0", "echo~3#0"}


async def test_a_scoped_action_is_a_site_of_its_action(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    await echo.run(1)
    await echo.scope("project").run(2)
""")
    assert (await world.run()).steps() == ["echo#0", "echo~2#0"]


async def test_bounded_numbers_its_calls_from_zero_whatever_order_they_end_in(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    return await bounded(2, [slow.run(n, rank=-n) for n in range(5)])
""")
    run = await world.run()
    assert run.output == [0, 1, 2, 3, 4]
    assert sorted(run.steps()) == [f"slow#{n}" for n in range(5)]
    assert run.steps() != sorted(run.steps())


async def test_a_step_called_in_a_way_the_source_does_not_show_fails_with_its_place(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    call = getattr(echo, "run")
    return await call(1)
""")
    run = await world.run()
    assert run.status == "failed"
    assert run.error["type"] == "UnknownSite"
    assert "main.py:9" in run.error["message"]
    assert run.error["code"] == "KSL403"


async def test_a_step_called_in_another_file_fails_naming_both_files(world: World) -> None:
    (world.folder / "actions" / "far.py").write_text(
        "from actions.kit import echo\n\nasync def far():\n    return await echo.run(1)\n"
    )
    await world.load("""
from actions.far import far

@workflow
async def w() -> Any:
    return await far()
""")
    run = await world.run()
    assert run.error["type"] == "UnknownSite"
    assert "far.py:4" in run.error["message"]
    assert "KSL001" in run.error["message"]
