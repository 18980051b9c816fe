"""Actions as steps: validation, contexts, timeouts, threads, limits, and the effect that happens at most once."""

from __future__ import annotations

import pytest

from tests.engine_fixture import World


async def test_the_context_tells_run_step_attempt_and_key_and_is_no_input(world: World) -> None:
    await world.load("""
@action
async def who(name: str, *, ctx: ActionContext, loud: bool = False) -> list:
    return [ctx.run_id, ctx.step_id, ctx.attempt, ctx.idempotency_key, name, loud]

@workflow
async def w() -> Any:
    return await who.run("ada", loud=True)
""")
    run = await world.run()
    assert run.output == ["run_1", "who#0", 1, run.output[3], "ada", True]
    assert run.output[3]
    assert run.events[2].input == b'{"name":"ada","loud":true}'


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("add.run('x', 2)", "a: "),
        ("add.run(1)", "b: "),
        ("add.run(1, 2, 3)", "Unexpected positional"),
        ("add.run(1, b=2, c=3)", "c: "),
        ("inner.run(n='x')", "n: "),
    ],
)
async def test_an_input_that_does_not_fit_fails_the_run_naming_the_parameter(
    world: World, call: str, says: str
) -> None:
    await world.load(f"""
@dataclasses.dataclass
class Number:
    n: int

@action
async def add(a: int, b: int) -> int:
    return a + b

@workflow
async def inner(input: Number) -> Any:
    return 1

@workflow
async def w() -> Any:
    return await {call}
""")
    run = await world.run()
    assert (run.status, run.error["type"], run.error["code"]) == ("failed", "InvalidInput", "KSL407")
    assert says in run.error["message"]
    assert "run_retrying" not in run.types


async def test_an_output_that_does_not_fit_fails_the_step(world: World) -> None:
    await world.load("""
@action
async def count() -> int:
    return "many"

@workflow
async def w() -> Any:
    try:
        await count.run()
    except StepFailed as error:
        return [error.type, error.step_id]
""")
    assert (await world.run()).output[1] == "count#0"


@pytest.mark.parametrize("kind", ["async def", "def"])
async def test_an_attempt_over_its_timeout_fails_as_timeout_error_and_is_tried_again(
    world: World, kind: str
) -> None:
    wait = "await asyncio.sleep(60)" if kind == "async def" else "ctx.cancelled.wait(60)"
    await world.load(f"""
@action(timeout="5ms", retry=Retry(attempts=2, initial=0))
{kind} stuck(ctx: ActionContext) -> int:
    stage.did(ctx, ctx.attempt)
    if ctx.attempt == 1:
        {wait}
    return ctx.attempt

@action(timeout="5ms")
{kind} hopeless(ctx: ActionContext) -> int:
    {wait}

@workflow
async def w() -> Any:
    got = await stuck.run()
    try:
        await hopeless.run()
    except StepFailed as error:
        return [got, error.type, error.message]
""")
    run = await world.run()
    assert run.output[:2] == [2, "TimeoutError"]
    assert "0.005 s" in run.output[2]


async def test_a_timeout_error_of_the_actions_own_is_told_as_it_is(world: World) -> None:
    await world.load("""
@action(timeout="1h")
async def own() -> int:
    raise TimeoutError("the other side did not answer")

@workflow
async def w() -> Any:
    try:
        await own.run()
    except StepFailed as error:
        return error.message
""")
    assert (await world.run()).output == "the other side did not answer"


async def test_a_plain_function_runs_in_a_thread_and_does_not_delay_others(world: World) -> None:
    await world.load("""
release = threading.Event()

@action
def blocking() -> str:
    release.wait(60)
    return threading.current_thread().name

@workflow
async def blocked() -> Any:
    return await blocking.run()

@workflow
async def w() -> Any:
    got = [await echo.run(n) for n in range(5)]
    release.set()
    return got
""")
    blocked = await world.start("blocked")
    quick = await world.start("w")
    assert (await world.finish(quick)).output == [0, 1, 2, 3, 4]
    assert (await world.finish(blocked)).output.startswith("ksl-action")


async def test_an_action_that_runs_another_actions_step_is_refused(world: World) -> None:
    await world.load("""
@workflow
async def sub() -> Any: ...

@action
async def nests(which: str) -> Any:
    return await {"action": echo, "workflow": sub}[which].run()

@action
def nests_in_a_thread() -> Any:
    return asyncio.run(echo.run(1))

@workflow
async def w() -> Any:
    got = []
    for which in ("action", "workflow"):
        try:
            await nests.run(which)
        except StepFailed as error:
            got.append([error.type, "leaves" in error.message])
    try:
        await nests_in_a_thread.run()
    except StepFailed as error:
        got.append([error.type, "leaves" in error.message])
    return got
""")
    assert (await world.run()).output == [["ActionIsLeaf", True]] * 3


async def test_an_action_that_runs_another_step_is_tried_once_and_the_run_names_the_rule(
    world: World,
) -> None:
    await world.load("""
@action(retry=Retry(attempts=3, initial="0s"))
async def nests() -> Any:
    return await echo.run(1)

@workflow
async def inner() -> Any:
    return await nests.run()

@workflow
async def w() -> Any:
    return await inner.run()
""")
    run = await world.run()
    assert (run.status, run.error["type"], run.error["code"]) == ("failed", "ActionIsLeaf", "KSL404")
    assert run.flow[2:] == ["step_failed inner#0/nests#0", "step_failed inner#0", "run_failed"]


async def test_an_action_may_call_another_as_the_plain_function(world: World) -> None:
    await world.load("""
@action
async def double(n: int) -> int:
    return 2 * n

@action
async def quadruple(n: int) -> int:
    return await double(await double(n))

@workflow
async def w() -> Any:
    return await quadruple.run(3)
""")
    run = await world.run()
    assert run.output == 12
    assert run.steps() == ["quadruple#0"]


async def test_no_more_attempts_of_an_action_run_at_once_than_its_concurrency(world: World) -> None:
    await world.load("""
inside = []

@action(concurrency=2)
async def narrow(n: int) -> int:
    inside.append(n)
    stage.notes.append(len(inside))
    await stage.turn(n, 0)
    inside.remove(n)
    return n

@workflow
async def w(input: int) -> Any:
    return await asyncio.gather(*(narrow.run(input + n) for n in range(4)))
""")
    runs = [await world.start("w", base) for base in (0, 10)]
    for run_id in runs:
        await world.finish(run_id)
    assert max(world.stage.notes) == 2
    assert len(world.stage.notes) == 8
    assert [(await world.seen(run_id)).status for run_id in runs] == ["succeeded"] * 2


async def test_a_cancelled_run_gives_back_the_place_it_held_or_waited_for(world: World) -> None:
    await world.load("""
@action(concurrency=1)
async def narrow(n: int) -> int:
    await stage.turn(n, 0)
    return n

@workflow
async def w(input: int) -> Any:
    return await narrow.run(input)
""")
    first, second, third = [await world.start("w", n) for n in (1, 2, 3)]
    await world.rest()
    assert world.stage.waiting == [1]
    await world.runtime.cancel(second)
    await world.runtime.cancel(first)
    await world.rest()
    assert world.stage.waiting == [3]
    assert (await world.finish(third)).output == 3


async def test_an_at_most_once_step_records_its_start_before_it_acts(world: World) -> None:
    await world.load("""
@action(effect="at_most_once")
async def charge(amount: int, ctx: ActionContext) -> int:
    stage.did(ctx, amount)
    stage.notes.append([type for type in stage.log()])
    await stage.turn(amount, 0)
    return amount

@workflow
async def w() -> Any:
    return await charge.run(7)
""")

    def stored() -> list[str]:
        return [event.type for event in world.store._tables.histories["run_1"]]

    world.stage.log = stored  # type: ignore[attr-defined]
    run = await world.run()
    assert run.flow[2:] == ["step_started charge#0", "step_completed charge#0", "run_completed"]
    assert world.stage.notes == [["run_created", "run_started", "step_started"]]


async def test_an_at_most_once_step_cut_off_by_a_crash_is_not_run_again(disk: World) -> None:
    await disk.load("""
@action(effect="at_most_once", retry=Retry(attempts=5, initial=0))
async def charge(amount: int, ctx: ActionContext) -> int:
    stage.did(ctx, amount)
    await stage.turn(amount, 0)
    return amount

@workflow
async def w() -> Any:
    try:
        return await charge.run(7)
    except StepInterrupted as error:
        return [isinstance(error, StepFailed), error.type, error.step_id, error.attempts]
""")
    run_id = await disk.start()
    await disk.rest()
    await disk.restart()
    run = await disk.finish(run_id)
    assert run.output == [True, "StepInterrupted", "charge#0", 1]
    assert disk.stage.steps == ["charge#0"]
    await disk.restart()
    assert (await disk.seen(run_id)).output == run.output


async def test_an_interruption_that_leaves_the_body_fails_the_run_and_a_person_may_reopen_it(
    disk: World,
) -> None:
    await disk.load("""
@action(effect="at_most_once")
async def charge(amount: int, ctx: ActionContext) -> int:
    stage.did(ctx, amount)
    await stage.turn(amount, 0)
    return ctx.attempt

@workflow(retry=Retry(attempts=5, initial=0))
async def w() -> Any:
    return await charge.run(7)
""")
    run_id = await disk.start()
    await disk.rest()
    await disk.restart()
    run = await disk.finish(run_id)
    assert (run.status, run.error["type"]) == ("failed", "StepInterrupted")
    assert "run_retrying" not in run.types
    await disk.runtime.retry(run_id)
    again = await disk.finish(run_id)
    assert again.status == "succeeded"
    assert disk.stage.steps == ["charge#0", "charge#0"]


async def test_a_failing_at_most_once_step_is_retried_by_its_own_policy(world: World) -> None:
    await world.load("""
@action(effect="at_most_once", retry=Retry(attempts=3, initial="1s", jitter=False))
async def charge(ctx: ActionContext) -> int:
    stage.did(ctx, 0)
    if ctx.attempt < 3:
        raise OSError("declined")
    return ctx.attempt

@workflow
async def w() -> Any:
    return await charge.run()
""")
    run = await world.run()
    assert run.output == 3
    assert run.steps("step_started") == ["charge#0"] * 3


async def test_an_interrupted_ordinary_step_runs_again_with_the_same_key_and_attempt(disk: World) -> None:
    await disk.load("""
@workflow
async def w() -> Any:
    return await slow.run(1)
""")
    run_id = await disk.start()
    await disk.rest()
    await disk.restart()
    await disk.finish(run_id)
    contexts = disk.stage.contexts
    assert len(contexts) == 2
    assert [context.attempt for context in contexts] == [1, 1]
    assert len({context.idempotency_key for context in contexts}) == 1


async def test_keys_differ_between_steps_and_between_runs(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    await asyncio.gather(echo.run(1), echo.run(2))
""")
    await world.run()
    await world.run()
    assert len({context.idempotency_key for context in world.stage.contexts}) == 4


async def test_what_an_action_does_to_its_result_afterwards_alters_no_record(world: World) -> None:
    await world.load("""
kept = []

@action
async def listing() -> list[int]:
    kept.append([1, 2])
    return kept[-1]

@workflow
async def w() -> Any:
    got = await listing.run()
    got.append(3)
    kept[0].append(4)
    return [got, await slow.run(got)]
""")
    run = await world.run()
    assert run.output == [[1, 2, 3], [1, 2, 3]]
    assert run.data("step_completed", "listing#0") == [1, 2]
    await world.crash_everywhere(run.run_id)


async def test_logs_of_bodies_are_silent_in_replay_and_those_of_actions_carry_their_step(
    world: World,
) -> None:
    await world.load("""
@action
async def tells(ctx: ActionContext) -> None:
    ctx.log.info("acting", n=1)

@workflow
async def w(ctx: Context) -> Any:
    ctx.log.info("begun")
    await tells.run()
    ctx.log.warning("waiting", what="hook")
    await ctx.hook()
    ctx.log.info("done")
""")
    run = await world.run()
    await world.reload(run.run_id)
    await world.answer(run.run_id, 1)
    lines = [(line["level"], line["message"], line.get("step_id")) for line in world.runtime.logs(run.run_id)]
    assert lines == [
        ("info", "begun", None), ("info", "acting", "tells#0"), ("warning", "waiting", None), ("info", "done", None)
    ]  # fmt: skip
