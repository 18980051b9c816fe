"""Failing steps and runs: what is tried again, what is not, and what a body sees of it."""

from __future__ import annotations

import pytest

from tests.engine_fixture import World


async def test_a_step_fails_as_step_failed_with_its_type_message_id_and_attempts(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    try:
        await fail.run("broken pipe")
    except StepFailed as error:
        return [error.type, error.message, error.step_id, error.attempts, isinstance(error, KslError)]
""")
    run = await world.run()
    assert run.output == ["ValueError", "broken pipe", "fail#0", 1, False]
    await world.crash_everywhere(run.run_id)


async def test_a_failed_step_records_type_message_step_attempts_and_traceback(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    await fail.run("broken")
""")
    run = await world.run()
    data = run.data("step_failed", "fail#0")
    assert set(data) == {"type", "message", "step", "attempts", "traceback"}
    assert (data["type"], data["message"], data["step"], data["attempts"]) == (
        "ValueError",
        "broken",
        "fail#0",
        1,
    )
    assert "kit.py" in data["traceback"]
    assert (run.error["type"], run.error["message"], run.error["step"]) == ("ValueError", "broken", "fail#0")


async def test_a_caught_failure_is_the_same_after_reload_and_the_step_does_not_run_again(disk: World) -> None:
    await disk.load("""
@workflow
async def w() -> Any:
    try:
        await fail.run("flaky", times=1)
        return "worked"
    except StepFailed as error:
        return await slow.run(f"{error}")
""")
    run_id = await disk.start()
    await disk.rest()
    await disk.restart()
    run = await disk.finish(run_id)
    assert run.output == "step fail#0 failed: ValueError: flaky"
    assert disk.stage.steps.count("fail#0") == 1


async def test_step_retries_wait_longer_each_time_and_then_give_up(world: World) -> None:
    await world.load("""
@action(retry=Retry(attempts=4, initial="10s", factor=3.0, maximum="1m", jitter=False))
async def flaky(ctx: ActionContext) -> int:
    stage.did(ctx, ctx.attempt)
    raise OSError(f"try {ctx.attempt}")

@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    await flaky.run()
""")
    start_ms = world.clock.ms
    run = await world.run()
    assert run.flow[2:] == ["step_retrying flaky#0"] * 3 + ["step_failed flaky#0", "run_failed"]
    waits = [event.at_ms - start_ms for event in run.events if event.type in ("step_retrying", "step_failed")]
    assert waits == [0, 10_001, 40_002, 100_003]
    assert [value for _, value in world.stage.ledger] == [1, 2, 3, 4]
    assert run.data("step_failed")["attempts"] == 4
    retrying = [event for event in run.events if event.type == "step_retrying"]
    assert b'"attempt":1' in (retrying[0].data or b"")
    assert b'"next_attempt_at":"2025-06-15T15:06:50.001Z"' in (retrying[0].data or b"")
    keys = {context.idempotency_key for context in world.stage.contexts}
    assert len(keys) == 1


async def test_a_backoff_due_before_a_restart_is_kept_and_never_cut_short(disk: World) -> None:
    await disk.load("""
@action(retry=Retry(attempts=3, initial="1h", maximum="1h", jitter=False))
async def flaky(ctx: ActionContext) -> int:
    stage.did(ctx, ctx.attempt)
    if ctx.attempt == 1:
        raise OSError("first")
    return ctx.attempt

@workflow
async def w() -> Any:
    return await flaky.run()
""")
    run_id = await disk.start()
    await disk.rest()
    seen = await disk.seen(run_id)
    assert (seen.status, seen.waiting_on[0]["kind"]) == ("sleeping", "retry")
    await disk.advance(1800)
    await disk.restart()
    await disk.advance(1799)
    assert disk.stage.steps == ["flaky#0"]
    await disk.advance(2)
    assert (await disk.seen(run_id)).output == 2


async def test_only_exceptions_named_in_on_are_tried_again(world: World) -> None:
    await world.load("""
class Odd(ConnectionError): ...

@action(retry=Retry(attempts=3, initial=0, on=(ConnectionError,)))
async def picky(kind: str, ctx: ActionContext) -> int:
    stage.did(ctx, kind)
    raise {"odd": Odd, "value": ValueError}[kind](kind)

@workflow
async def w() -> Any:
    got = await asyncio.gather(picky.run("odd"), picky.run("value"), return_exceptions=True)
    return [error.attempts for error in got]
""")
    assert (await world.run()).output == [3, 1]


async def test_fatal_error_in_an_action_forbids_every_retry_of_step_and_run(world: World) -> None:
    await world.load("""
@action(retry=Retry(attempts=5, initial=0))
async def doomed(ctx: ActionContext) -> int:
    stage.did(ctx, 0)
    raise FatalError("no such account")

@workflow(retry=Retry(attempts=5, initial=0))
async def w() -> Any:
    await doomed.run()
""")
    run = await world.run()
    assert world.stage.steps == ["doomed#0"]
    assert (run.status, run.error["type"], run.error["message"]) == (
        "failed",
        "FatalError",
        "no such account",
    )


async def test_fatal_error_of_a_body_fails_the_run_with_no_retry(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=5, initial=0))
async def w() -> Any:
    await echo.run(1)
    raise FatalError("refused")
""")
    run = await world.run()
    assert run.types[-1] == "run_failed"
    assert "run_retrying" not in run.types


async def test_fatal_error_of_a_caught_step_does_not_forbid_a_later_retry(world: World) -> None:
    await world.load("""
@action
async def doomed() -> int:
    raise FatalError("no")

@workflow(retry=Retry(attempts=2, initial=0))
async def w() -> Any:
    try:
        await doomed.run()
    except StepFailed:
        pass
    return await fail.run("once", times=1)
""")
    run = await world.run()
    assert run.output == "attempt 2"


async def test_retry_later_is_tried_again_not_before_its_moment_even_with_one_attempt(world: World) -> None:
    await world.load("""
@action
async def busy(ctx: ActionContext) -> int:
    stage.did(ctx, stage.notes.append(ctx.attempt))
    if ctx.attempt < 3:
        raise RetryLater("busy", after="30s")
    return ctx.attempt

@workflow
async def w() -> Any:
    return await busy.run()
""")
    start_ms = world.clock.ms
    run = await world.run()
    assert run.output == 3
    assert world.clock.ms - start_ms == 60_002


async def test_retry_later_gives_up_after_ten_attempts(world: World) -> None:
    await world.load("""
@action
async def busy(ctx: ActionContext) -> int:
    raise RetryLater("busy", after=1)

@workflow
async def w() -> Any:
    try:
        await busy.run()
    except StepFailed as error:
        return [error.type, error.attempts]
""")
    assert (await world.run()).output == ["RetryLater", 10]


async def test_retry_later_counts_up_to_the_attempts_of_a_policy(world: World) -> None:
    await world.load("""
@action(retry=Retry(attempts=2, initial=0))
async def busy() -> int:
    raise RetryLater("busy", after=1)

@workflow
async def w() -> Any:
    try:
        await busy.run()
    except StepFailed as error:
        return error.attempts
""")
    assert (await world.run()).output == 2


async def test_an_uncaught_failure_reopens_only_what_reached_the_top(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=3, initial="1s", jitter=False))
async def w(ctx: Context) -> Any:
    await echo.run("once")
    try:
        await fail.run("caught")
    except StepFailed:
        pass
    got = await fail.run("open", times=2)
    return [got, ctx.attempt, ctx.trigger]
""")
    run = await world.run()
    assert run.output == ["attempt 3", 3, "api"]
    assert world.stage.steps == ["echo#0", "fail#0", "fail~2#0", "fail~2#0", "fail~2#0"]
    retrying = [event for event in run.events if event.type == "run_retrying"]
    assert b'"reopened":["fail~2#0"]' in (retrying[0].data or b"")
    keys = {context.idempotency_key for context in world.stage.contexts if context.step_id == "fail~2#0"}
    assert len(keys) == 1
    assert [context.attempt for context in world.stage.contexts if context.step_id == "fail~2#0"] == [1, 2, 3]
    assert run.row.attempt == 3
    await world.crash_everywhere(run.run_id)


async def test_run_level_retry_waits_with_doubling_backoff_and_gives_up_after_three(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    await fail.run("always")
""")
    run = await world.run()
    assert run.flow[2:] == [
        "step_failed fail#0", "run_retrying", "run_started",
        "step_failed fail#0", "run_retrying", "run_started", "step_failed fail#0", "run_failed",
    ]  # fmt: skip
    at = [event.at_ms for event in run.events if event.type in ("run_retrying", "run_started")][1:]
    assert 750 <= at[1] - at[0] <= 1251
    assert 1500 <= at[3] - at[2] <= 2501
    assert run.data("run_failed")["attempts"] == 3  # of the step


async def test_a_person_retries_a_failed_run_and_attempts_count_on(disk: World) -> None:
    await disk.load("""
@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    first = await echo.run(1)
    return [first, await fail.run("no", times=1)]
""")
    run = await disk.run()
    assert run.status == "failed"
    await disk.restart()
    await disk.runtime.retry(run.run_id)
    again = await disk.finish(run.run_id)
    assert again.output == [1, "attempt 2"]
    assert disk.stage.steps == ["echo#0", "fail#0", "fail#0"]
    assert again.events[-1].meta is not None


async def test_a_body_that_raises_by_itself_is_retried_with_nothing_reopened(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=2, initial=0))
async def w(ctx: Context) -> Any:
    got = await echo.run(1)
    if ctx.attempt == 1:
        raise ValueError("odd")
    return got
""")
    run = await world.run()
    assert run.output == 1
    assert world.stage.steps == ["echo#0"]
    await world.crash_everywhere(run.run_id)


async def test_compensation_in_except_followed_by_raise_is_no_drift(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=2, initial=0))
async def w() -> Any:
    await echo.run("reserve")
    try:
        return await fail.run("card declined", times=1)
    except StepFailed as error:
        await other.run(f"undo because {error.message} at {error.step_id}")
        raise
""")
    run = await world.run()
    assert run.output == "attempt 2"
    assert world.stage.steps == ["echo#0", "fail#0", "other#0", "fail#0"]
    await world.crash_everywhere(run.run_id)


async def test_compensation_that_runs_in_every_attempt_is_taken_from_the_record(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=3, initial=0))
async def w() -> Any:
    try:
        return await fail.run("declined", times=2)
    except StepFailed as error:
        await other.run(f"undo after {error.message}")
        raise
""")
    run = await world.run()
    assert run.output == "attempt 3"
    assert world.stage.steps == ["fail#0", "other#0", "fail#0", "fail#0"]


async def test_a_failure_text_that_changes_between_attempts_is_no_drift_of_the_compensation(
    world: World,
) -> None:
    await world.load("""
@action
async def flaky(ctx: ActionContext) -> str:
    stage.did(ctx, 0)
    if ctx.attempt < 3:
        raise OSError(f"failure number {ctx.attempt}")
    return "done"

@workflow(retry=Retry(attempts=3, initial=0))
async def w() -> Any:
    try:
        return await flaky.run()
    except StepFailed as error:
        await other.run(error.message)
        raise
""")
    run = await world.run()
    assert (run.status, run.events[-1].data) == ("succeeded", b'"done"')
    await world.crash_everywhere(run.run_id)


async def test_an_exception_raised_from_a_step_failure_reopens_that_step(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=2, initial=0))
async def w() -> Any:
    try:
        return await fail.run("inner", times=1)
    except StepFailed as error:
        raise RuntimeError("wrapped") from error
""")
    assert (await world.run()).output == "attempt 2"


async def test_a_retry_inside_a_task_group_reopens_the_failure_and_what_it_cancelled(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=2, initial=0))
async def w() -> Any:
    async with asyncio.TaskGroup() as group:
        a = group.create_task(slow.run("a", rank=5))
        c = group.create_task(echo.run("c"))
        b = group.create_task(fail.run("b", times=1))
    return [a.result(), b.result(), c.result()]
""")
    run = await world.run()
    assert run.output == ["a", "attempt 2", "c"]
    assert world.stage.steps.count("echo#0") == 1
    await world.crash_everywhere(run.run_id)


async def test_a_retry_of_gather_runs_the_cancelled_sibling_again(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=2, initial=0))
async def w() -> Any:
    return await asyncio.gather(slow.run("a"), fail.run("b", times=1))
""")
    run = await world.run()
    assert run.output == ["a", "attempt 2"]
    assert "step_cancelled slow#0" in run.flow


async def test_two_failures_in_a_group_are_both_reopened(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=2, initial=0))
async def w() -> Any:
    async def branch(n):
        await slow.run(n)
        return await fail.run(f"{n}", times=1)
    results = await asyncio.gather(branch(1), branch(2), return_exceptions=True)
    failures = [each for each in results if isinstance(each, BaseException)]
    if failures:
        raise ExceptionGroup("both", failures)
    return results
""")
    run = await world.run()
    assert run.output == ["attempt 2", "attempt 2"]
    assert world.stage.steps.count("fail[0]#0") == 2
    await world.crash_everywhere(run.run_id)


async def test_what_leaves_a_sub_workflow_reaches_the_caller_as_its_own_steps_failure(world: World) -> None:
    await world.load("""
@workflow
async def inner() -> Any:
    await echo.run(1)
    await fail.run("deep")

@workflow
async def w() -> Any:
    try:
        await inner.run()
    except StepFailed as error:
        return [error.step_id, error.type, error.message]
""")
    run = await world.run()
    assert run.output == ["inner#0", "ValueError", "deep"]
    assert run.flow[2:] == [
        "step_completed inner#0/echo#0", "step_failed inner#0/fail#0", "step_failed inner#0", "run_completed",
    ]  # fmt: skip
    await world.crash_everywhere(run.run_id)


async def test_a_failed_sub_workflow_names_the_outer_id_with_the_inner_error_as_cause(world: World) -> None:
    await world.load("""
@workflow
async def inner() -> Any:
    await fail.run("deep")

@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    await inner.run()
""")
    error = (await world.run()).error
    assert (error["step"], error["type"], error["message"]) == ("inner#0", "ValueError", "deep")
    assert (error["cause"]["step"], error["cause"]["type"]) == ("inner#0/fail#0", "ValueError")


async def test_a_retry_reopens_the_failed_step_inside_a_sub_workflow_only(world: World) -> None:
    await world.load("""
@workflow
async def inner() -> Any:
    await echo.run("inside")
    return await fail.run("deep", times=1)

@workflow(retry=Retry(attempts=2, initial=0))
async def w() -> Any:
    await echo.run("outside")
    return await inner.run()
""")
    run = await world.run()
    assert run.output == "attempt 2"
    assert world.stage.steps == ["echo#0", "inner#0/echo#0", "inner#0/fail#0", "inner#0/fail#0"]
    assert run.steps()[-1] == "inner#0"
    await world.crash_everywhere(run.run_id)


async def test_a_sub_workflow_that_raises_by_itself_runs_again_at_the_retry(world: World) -> None:
    await world.load("""
@workflow
async def inner(attempt: int) -> Any:
    got = await echo.run("inside")
    if attempt == 1:
        raise ValueError("own")
    return got

@workflow(retry=Retry(attempts=2, initial=0))
async def w(ctx: Context) -> Any:
    n = ctx.attempt
    return await inner.run(n)
""")
    run = await world.run()
    assert run.status == "succeeded", run.events[-1]
    assert world.stage.steps == ["inner#0/echo#0"]


async def test_sleeps_and_hooks_of_a_failed_attempt_are_not_repeated_by_the_next(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=2, initial=0))
async def w(ctx: Context) -> Any:
    await ctx.sleep("1h")
    answer = await ctx.hook()
    return [answer, await fail.run("no", times=1)]
""")
    run_id = await world.start()
    run = await world.finish(run_id)
    await world.answer(run_id, "yes")
    before_ms = world.clock.ms
    run = await world.finish(run_id)
    assert run.output == ["yes", "attempt 2"]
    assert world.clock.ms - before_ms < 100
    assert run.steps("sleep_started") == ["sleep#0"]
    assert run.steps("hook_created") == ["hook#0"]


async def test_the_body_time_of_a_later_attempt_begins_where_the_first_did(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=2, initial="1h", jitter=False))
async def w(ctx: Context) -> Any:
    began = ctx.now()
    await echo.run(str(began))
    await fail.run("no", times=1)
    return ctx.attempt
""")
    run = await world.run()
    assert run.output == 2
    assert world.stage.steps.count("echo#0") == 1


async def test_a_timeout_of_the_body_that_reached_the_top_is_measured_anew(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=2, initial=0))
async def w(ctx: Context) -> Any:
    async with asyncio.timeout(5):
        if ctx.attempt == 1:
            await ctx.sleep(60)
        return ctx.attempt
""")
    run = await world.run()
    assert run.output == 2


async def test_the_error_of_a_run_points_at_the_authors_line(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=1))
async def w() -> Any:
    raise LookupError("mine")
""")
    error = (await world.run()).error
    assert (error["type"], error["message"], error["step"]) == ("LookupError", "mine", None)
    assert 'main.py", line 8' in error["traceback"]
    assert "ksl/engine" not in error["traceback"]


async def test_an_error_whose_text_cannot_be_written_is_still_recorded(world: World) -> None:
    await world.load(r"""
class Mute(Exception):
    def __str__(self):
        raise RuntimeError("nothing to say")

@action
async def odd(kind: str) -> int:
    raise Mute() if kind == "mute" else ValueError("half \ud800 pair")

@workflow
async def w() -> Any:
    got = await asyncio.gather(odd.run("mute"), odd.run("half"), return_exceptions=True)
    return [error.message for error in got]
""")
    run = await world.run()
    assert run.output == ["<its message cannot be read: RuntimeError>", "half \\ud800 pair"]


@pytest.mark.parametrize("raised", ["SystemExit(3)", "asyncio.CancelledError()", "GeneratorExit()"])
async def test_an_action_that_raises_a_base_exception_fails_like_any_other(world: World, raised: str) -> None:
    await world.load(f"""
@action
async def exits() -> int:
    raise {raised}

@action
def exits_in_a_thread() -> int:
    raise {raised}

@workflow
async def w() -> Any:
    got = []
    for n in range(2):
        try:
            await (exits.run() if n == 0 else exits_in_a_thread.run())
        except StepFailed as error:
            got.append(error.type)
    return got
""")
    name = raised.partition("(")[0].rpartition(".")[2]
    assert (await world.run()).output == [name, name]


@pytest.mark.parametrize("raised", ["SystemExit(3)", "asyncio.CancelledError()", "GeneratorExit()"])
async def test_a_body_that_raises_a_base_exception_fails_its_run_and_no_other(
    world: World, raised: str
) -> None:
    await world.load(f"""
@workflow(retry=Retry(attempts=1))
async def exits() -> Any:
    await echo.run(1)
    raise {raised}

@workflow
async def w() -> Any:
    return await slow.run(1)
""")
    well = await world.start()
    run = await world.run("exits")
    assert (run.status, run.error["type"]) == ("failed", raised.partition("(")[0].rpartition(".")[2])
    assert (await world.finish(well)).output == 1


async def test_a_later_attempt_may_do_more_where_the_body_asks_which_attempt_it_is(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=3, initial=0))
async def w(ctx: Context) -> Any:
    await echo.run("a")
    if ctx.attempt > 1:
        await other.run(f"attempt {ctx.attempt}")
    b = await echo.run("b")
    await slow.run(ctx.attempt)
    return await fail.run("no", times=2)
""")
    run = await world.run()
    assert run.output == "attempt 3"
    await world.crash_everywhere(run.run_id)


async def test_a_step_told_the_attempt_keeps_its_recorded_outcome_in_the_next(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=3, initial=0))
async def w(ctx: Context) -> Any:
    await echo.run(ctx.attempt)
    return await fail.run("no", times=2)
""")
    run = await world.run()
    assert run.output == "attempt 3", run.events[-1].data
    await world.crash_everywhere(run.run_id)


async def test_failures_of_sub_workflows_in_a_group_are_reopened_one_by_one(world: World) -> None:
    await world.load("""
@workflow
async def inner(n: int, ctx: Context) -> Any:
    await ctx.sleep(n)
    await slow.run(n, rank=-n)
    return await fail.run(f"{n}", times=1)

@workflow(retry=Retry(attempts=4, initial=1, jitter=False))
async def w(ctx: Context) -> Any:
    async with asyncio.TaskGroup() as g:
        ts = [g.create_task(inner.run(n)) for n in range(3)]
    return [t.result() for t in ts]
""")
    run = await world.run()
    assert run.output == ["attempt 2"] * 3, run.events[-1].data
    await world.crash_everywhere(run.run_id)


async def test_timeouts_and_timers_of_a_failed_attempt_replay_in_the_next(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=4, initial=1, jitter=False))
async def w(ctx: Context) -> Any:
    try:
        async with asyncio.timeout(5):
            await ctx.sleep(60)
    except TimeoutError:
        pass
    await asyncio.sleep(3)
    async with asyncio.timeout(100):
        await slow.run(1)
        return await fail.run("x", times=1)
""")
    run = await world.run()
    assert run.output == "attempt 2", run.events[-1].data
    await world.crash_everywhere(run.run_id)
