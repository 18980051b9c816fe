"""Code that no longer fits a history holds that run, executes nothing, and lets go when the code is put right."""

from __future__ import annotations

import pytest

from ksl.errors import KslError

from tests.engine_fixture import World

BEFORE = """
@workflow
async def w(ctx: Context) -> Any:
    a = await echo.run("a")
    b = await echo.run("b")
    await ctx.sleep("1h")
    c = await other.run(a + b)
    await ctx.hook(timeout="1d")
    return c

@workflow
async def bystander(ctx: Context) -> Any:
    await ctx.sleep("1h")
    return await echo.run("bystander")
"""
BYSTANDER = """
@workflow
async def bystander(ctx: Context) -> Any:
    await ctx.sleep("1h")
    return await echo.run("bystander")
"""
CHANGES = {
    "a sleep stands where a step was": """
    await ctx.sleep(1)
    b = await echo.run("b")
    await ctx.sleep("1h")
""",
    "another action stands there": """
    a = await other.run("a")
    b = await echo.run("b")
    await ctx.sleep("1h")
""",
    "a step is missing": """
    b = await echo.run("b")
    await ctx.sleep("1h")
""",
    "a step more stands before": """
    await other.run("new")
    a = await echo.run("a")
    b = await echo.run("b")
    await ctx.sleep("1h")
""",
    "gather stands for a sequence": """
    a, b = await asyncio.gather(echo.run("a"), echo.run("b"))
    await ctx.sleep("1h")
""",
    "the sleep is gone": """
    a = await echo.run("a")
    b = await echo.run("b")
""",
    "a hook stands for the sleep": """
    a = await echo.run("a")
    b = await echo.run("b")
    await ctx.hook()
""",
    "the body ends before": """
    a = await echo.run("a")
    return a
""",
    "the body raises before": """
    a = await echo.run("a")
    raise ValueError("odd")
""",
    "a new timer stands before": """
    a = await echo.run("a")
    await asyncio.sleep(5)
    b = await echo.run("b")
    await ctx.sleep("1h")
""",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_run_whose_code_changed_is_held_and_goes_on_when_the_old_code_is_back(
    disk: World, change: str
) -> None:
    await disk.load(BEFORE)
    run_id = await disk.start()
    bystander = await disk.start("bystander")
    await disk.rest()
    before = await disk.seen(run_id)
    did = len(disk.stage.ledger)
    changed = "\n@workflow\nasync def w(ctx: Context) -> Any:" + CHANGES[change] + BYSTANDER
    await disk.restart(changed)
    await disk.advance(3_601)

    held = await disk.seen(run_id)
    assert held.status == "held", held.flow
    assert held.flow == [*before.flow, "run_held"]
    assert [value for _, value in disk.stage.ledger[did:]] == ["bystander"]
    # Where the step before is missing, the next takes its id: the same step with another input.
    drifted = change == "a step is missing"
    assert held.error["code"] == ("KSL402" if drifted else "KSL401")
    assert "run_1" in held.error["message"]
    assert "main.py:" in held.error["message"]
    assert (await disk.seen(bystander)).status == "succeeded"

    await disk.restart(BEFORE)
    await disk.tick()
    assert (await disk.seen(run_id)).status == "held"
    await disk.runtime.retry(run_id, by="ada")
    await disk.advance(1)
    going = await disk.seen(run_id)
    assert going.status == "waiting", going.flow
    await disk.answer(run_id, 1)
    done = await disk.finish(run_id)
    assert done.output == "ab"
    assert [value for _, value in disk.stage.ledger if value != "bystander"] == ["a", "b", "ab"]


async def test_the_message_names_both_sides_their_ids_and_the_line(world: World) -> None:
    await world.load(BEFORE)
    run_id = await world.start()
    await world.rest()
    await world.restart("""
@workflow
async def w(ctx: Context) -> Any:
    await ctx.sleep(30)
""")
    await world.advance(3_601)
    message = (await world.seen(run_id)).error["message"]
    assert "sleep#0" in message
    assert "step:echo#0" in message
    assert "main.py:8" in message
    assert "ksl runs retry run_1" in message


async def test_another_input_for_a_recorded_step_is_drift_and_holds_the_run(disk: World) -> None:
    await disk.load("""
@workflow
async def w(ctx: Context) -> Any:
    await echo.run({"n": 1})
    await ctx.sleep("1h")
    return await echo.run("end")
""")
    run_id = await disk.start()
    await disk.rest()
    await disk.restart("""
@workflow
async def w(ctx: Context) -> Any:
    await echo.run({"n": 2})
    await ctx.sleep("1h")
    return await echo.run("end")
""")
    await disk.advance(3_601)
    held = await disk.seen(run_id)
    assert (held.status, held.error["type"], held.error["code"]) == ("held", "InputDrift", "KSL402")
    assert '"n":1' in held.error["message"]
    assert '"n":2' in held.error["message"]
    assert disk.stage.steps == ["echo#0"]


SLEEPS = """
@workflow(retry=Retry(attempts=2, initial=0, jitter=False))
async def w(ctx: Context) -> Any:
    await ctx.sleep(LENGTH)
    return await fail.run("no", times=1)
"""


@pytest.mark.parametrize("wakes", ["before", "after"])
async def test_a_sleep_of_another_length_than_was_recorded_is_drift_until_a_person_lets_it_stand(
    world: World, wakes: str
) -> None:
    await world.load(SLEEPS.replace("LENGTH", "'1h'"))
    run_id = await world.start()
    await world.rest()
    if wakes == "after":
        await world.restart(SLEEPS.replace("LENGTH", "'1h'"))
    await world.restart(SLEEPS.replace("LENGTH", "7200"))
    await world.advance(3_601)
    held = await world.seen(run_id)
    assert (held.status, held.error["type"], held.error["code"]) == ("held", "InputDrift", "KSL402")
    assert '{"seconds":3600' in held.error["message"]
    assert '{"seconds":7200' in held.error["message"]
    await world.runtime.release(run_id, accept_drift=True)
    assert (await world.finish(run_id)).output == "attempt 2"


async def test_a_sleep_of_another_length_is_drift_in_a_later_attempt_too(world: World) -> None:
    await world.load(SLEEPS.replace("LENGTH", "'1h'").replace("attempts=2", "attempts=1"))
    run_id = (await world.run()).run_id
    await world.restart(SLEEPS.replace("LENGTH", "7200"))
    await world.runtime.retry(run_id)
    held = await world.finish(run_id)
    assert (held.status, held.error["type"]) == ("held", "InputDrift")
    await world.restart(SLEEPS.replace("LENGTH", "3600 * ctx.attempt"))  # told apart by the attempt: meant so
    await world.runtime.retry(run_id)
    assert (await world.finish(run_id)).output == "attempt 2"


PART = """
@workflow
async def part() -> Any:
    END

@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    try:
        got = await part.run()
    except StepFailed as failed:
        got = failed.type
    await fail.run("no", times=1)
    return got
"""
ENDS = {"succeeds": "return await echo.run(1)", "fails": "raise KeyError(await echo.run(1))"}


@pytest.mark.parametrize(("before", "after"), [("succeeds", "fails"), ("fails", "succeeds")])
async def test_a_sub_workflow_that_ends_the_other_way_in_a_later_attempt_holds_the_run(
    world: World, before: str, after: str
) -> None:
    await world.load(PART.replace("END", ENDS[before]))
    run = await world.run()
    assert run.status == "failed"
    await world.restart(PART.replace("END", ENDS[after]))
    await world.runtime.retry(run.run_id)
    held = await world.finish(run.run_id)
    assert (held.status, held.error["code"]) == ("held", "KSL401"), held.flow
    assert f"sub-workflow part now {after}" in held.error["message"]
    assert len(world.stage.ledger) == 2
    await world.restart(PART.replace("END", ENDS[before]))
    await world.runtime.retry(run.run_id)
    assert (await world.finish(run.run_id)).output == (1 if before == "succeeds" else "KeyError")


async def test_a_mismatch_found_by_a_retry_of_the_run_executes_nothing_new(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    await echo.run("a")
    return await fail.run("b", times=1)
""")
    run = await world.run()
    await world.restart("""
@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    await other.run("new")
    await echo.run("a")
    return await fail.run("b", times=1)
""")
    await world.runtime.retry(run.run_id)
    held = await world.finish(run.run_id)
    assert held.status == "held", held.flow
    assert "other#0" not in world.stage.steps
    await world.restart("""
@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    await echo.run("a")
    return await fail.run("b", times=1)
""")
    await world.runtime.retry(run.run_id)
    assert (await world.finish(run.run_id)).output == "attempt 2"


async def test_what_a_retry_asks_for_after_the_reopened_failure_may_differ(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    await echo.run("a")
    await fail.run("bug in the code")
""")
    run = await world.run()
    await world.restart("""
@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    await echo.run("a")
    await fail.run("bug in the code", times=1)
    return await other.run("new")
""")
    await world.runtime.retry(run.run_id)
    again = await world.finish(run.run_id)
    assert again.status in ("succeeded", "held")
    assert world.stage.steps.count("echo#0") == 1


async def test_steps_added_after_the_end_of_the_history_are_no_mismatch(world: World) -> None:
    await world.load(BEFORE)
    run_id = await world.start()
    await world.rest()
    await world.restart("""
@workflow
async def w(ctx: Context) -> Any:
    a = await echo.run("a")
    b = await echo.run("b")
    await ctx.sleep("1h")
    return await echo.run("new")
""")
    await world.advance(3_601)
    assert (await world.seen(run_id)).output == "new"


async def test_a_sub_workflow_whose_inside_changed_holds_the_run(world: World) -> None:
    await world.load("""
@workflow
async def inner() -> Any:
    return await echo.run(1)

@workflow
async def w(ctx: Context) -> Any:
    await inner.run()
    await ctx.hook()
""")
    run = await world.run()
    await world.restart("""
@workflow
async def inner() -> Any:
    await echo.run(1)
    return await other.run(2)

@workflow
async def w(ctx: Context) -> Any:
    await inner.run()
    await ctx.hook()
""")
    with pytest.raises(KslError):
        await world.answer(run.run_id, 1, "hook#0")
    held = await world.seen(run.run_id)
    assert held.status == "held"
    assert world.stage.steps == ["inner#0/echo#0"]


async def test_a_recorded_output_that_the_annotation_no_longer_reads_holds_the_run(world: World) -> None:
    await world.load("""
@action
async def count() -> str:
    return "three"

@workflow
async def w(ctx: Context) -> Any:
    await count.run()
    await ctx.sleep("1h")
""")
    run_id = await world.start()
    await world.rest()
    await world.restart("""
@action
async def count() -> int:
    return 3

@workflow
async def w(ctx: Context) -> Any:
    await count.run()
    await ctx.sleep("1h")
""")
    await world.advance(3_601)
    held = await world.seen(run_id)
    assert held.status == "held"
    assert "no longer fits" in held.error["message"]


async def test_a_run_whose_workflow_is_gone_is_held_until_it_is_back(world: World) -> None:
    await world.load(BEFORE)
    run_id = await world.start()
    await world.rest()
    await world.restart(BYSTANDER)
    await world.advance(3_601)
    held = await world.seen(run_id)
    assert (held.status, held.error["code"]) == ("held", "KSL417")
    await world.restart(BEFORE)
    await world.runtime.retry(run_id)
    await world.advance(1)
    assert (await world.seen(run_id)).status == "waiting"
