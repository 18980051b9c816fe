"""Sleeps, timers and hooks: never early, once, never lost."""

from __future__ import annotations

import asyncio
import json

import pytest

from ksl.errors import HookAnswered, HookClosed, InvalidInput, KslError, UnknownHook, WrongState

from tests.engine_fixture import START_MS, World

NAP = """
@workflow
async def w(input: str, ctx: Context) -> Any:
    await ctx.sleep(input)
    return str(ctx.now())
"""
ASK = """
@workflow
async def w(ctx: Context) -> Any:
    hook = ctx.hook(int, timeout="1h", name="ask", title="How many?", details={"of": "beds"})
    await echo.run(hook.token)
    return await hook
"""


@pytest.mark.parametrize(("wanted", "ms"), [("1h30m", 5_400_000), ("250ms", 250), ("0.0004s", 0), ("0s", 0)])
async def test_a_sleep_is_never_early_and_fires_once(disk: World, wanted: str, ms: int) -> None:
    await disk.load(NAP)
    run_id = await disk.start("w", wanted)
    await disk.rest()
    assert (await disk.seen(run_id)).status == "sleeping"
    disk.clock.pass_ms(ms)
    assert await disk.tick() == 0
    disk.clock.pass_ms(1)
    assert await disk.tick() == 1
    run = await disk.seen(run_id)
    assert run.flow[2:] == ["sleep_started sleep#0", "sleep_completed sleep#0", "run_completed"]
    assert run.data("sleep_started")["due"].endswith("Z")
    assert await disk.store.next_timer_ms() is None


async def test_a_sleep_takes_seconds_a_timedelta_and_a_moment(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    await ctx.sleep(2)
    await ctx.sleep(datetime.timedelta(minutes=1))
    await ctx.sleep(ctx.now() + datetime.timedelta(hours=1, microseconds=1))
    await ctx.sleep(ctx.now() - datetime.timedelta(hours=1))
""")
    run = await world.run()
    due = [json.loads(event.data or b"{}")["due"] for event in run.events if event.type == "sleep_started"]
    assert due == [
        "2025-06-15T15:06:42.001Z", "2025-06-15T15:07:42.002Z",
        "2025-06-15T16:07:42.003Z", "2025-06-15T15:07:42.003Z",
    ]  # fmt: skip
    await world.crash_everywhere(run.run_id)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("ctx.sleep(datetime.datetime(2030, 1, 1))", "time zone"),
        ("ctx.sleep(-1)", "negative"),
        ("ctx.sleep('soon')", "1h30m"),
        ("ctx.sleep(float('nan'))", "1h30m"),
        ("ctx.hook(timeout='soon')", "1h30m"),
        ("ctx.hook(get='maybe')", "confirm"),
    ],
)
async def test_a_wait_that_makes_no_sense_fails_the_run_with_what_is_accepted(
    world: World, call: str, says: str
) -> None:
    await world.load(f"""
@workflow(retry=Retry(attempts=1))
async def w(ctx: Context) -> Any:
    await {call}
""")
    run = await world.run()
    assert run.status == "failed"
    assert says in run.error["message"]


async def test_a_sleeping_run_wakes_after_a_restart_at_its_moment(disk: World) -> None:
    await disk.load(NAP)
    run_id = await disk.start("w", "2d")
    await disk.rest()
    await disk.restart(clean=True)
    assert disk.live(run_id) is None
    await disk.advance(2 * 86400)
    assert (await disk.seen(run_id)).status == "sleeping"
    await disk.advance(0.002)
    assert (await disk.seen(run_id)).status == "succeeded"


async def test_a_sleep_overdue_at_start_up_fires_then(disk: World) -> None:
    await disk.load(NAP)
    run_id = await disk.start("w", "1h")
    await disk.rest()
    disk.clock.pass_ms(7_200_000)
    await disk.restart(clean=True)
    await disk.tick()
    assert (await disk.seen(run_id)).status == "succeeded"


async def test_a_duration_is_over_when_the_process_measured_it_though_the_clock_was_set_back(
    world: World,
) -> None:
    await world.load(NAP)
    run_id = await world.start("w", "1m")
    await world.rest()
    world.clock.ms -= 3_600_000
    world.clock.steady_ms += 60_100
    await world.tick()
    assert (await world.seen(run_id)).status == "succeeded"


async def test_a_sleep_until_a_moment_goes_by_the_wall_clock_alone(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    await ctx.sleep(ctx.now() + datetime.timedelta(minutes=1))
""")
    run_id = await world.start()
    await world.rest()
    world.clock.steady_ms += 120_000
    await world.tick()
    assert (await world.seen(run_id)).status == "sleeping"
    world.clock.ms += 60_000
    await world.tick()
    assert (await world.seen(run_id)).status == "succeeded"


async def test_a_hook_row_says_what_it_is_from_its_creation_on(disk: World) -> None:
    await disk.load(ASK)
    run = await disk.run()
    (hook,) = await disk.store.hooks()
    assert (hook.run_id, hook.step, hook.workflow, hook.status) == (run.run_id, "hook#0", "w", "open")
    assert (hook.name, hook.title, hook.details) == ("ask", "How many?", b'{"of":"beds"}')
    assert json.loads(hook.schema) == {"type": "integer"}
    assert (hook.created_at_ms, hook.expires_at_ms) == (START_MS, START_MS + 3_600_001)
    assert run.status == "waiting"
    assert run.waiting_on == [
        {
            "kind": "hook",
            "step": "hook#0",
            "name": "ask",
            "title": "How many?",
            "due": "2025-06-15T16:06:40.001Z",
        }
    ]


async def test_the_token_carries_256_bits_and_only_its_hash_is_stored(disk: World) -> None:
    await disk.load(ASK)
    await disk.run()
    (hook,) = await disk.store.hooks()
    url = disk.runtime.hook_url(hook)
    assert url is not None
    token = url.rpartition("/")[2]
    assert token == disk.stage.ledger[0][1]
    assert len(token) == 43
    assert (await disk.runtime.hook(token)).step == "hook#0"
    with pytest.raises(UnknownHook):
        await disk.runtime.hook(token[:-1] + ("a" if token[-1] != "a" else "b"))


async def test_an_early_payload_is_kept_until_the_await(disk: World) -> None:
    await disk.load("""
@workflow
async def w(ctx: Context) -> Any:
    hook = ctx.hook()
    await slow.run("before")
    return await hook
""")
    run_id = await disk.start()
    await disk.rest()
    await disk.answer(run_id, {"early": True})
    await disk.restart()
    run = await disk.finish(run_id)
    assert run.output == {"early": True}
    assert run.flow[2:] == [
        "hook_created hook#0", "hook_resumed hook#0", "step_completed slow#0", "run_completed"
    ]  # fmt: skip
    assert run.events[3].meta is not None
    assert run.events[3].meta.by == "ada"


async def test_a_second_answer_is_refused_and_changes_nothing(disk: World) -> None:
    await disk.load("""
@workflow
async def w(ctx: Context) -> Any:
    got = await ctx.hook()
    await slow.run("after")
    return got
""")
    run = await disk.run()
    await disk.answer(run.run_id, 1)
    with pytest.raises(HookAnswered):
        await disk.answer(run.run_id, 2, "hook#0")
    with pytest.raises(HookAnswered):
        await disk.runtime.reject_hook(run.run_id, "hook#0")
    done = await disk.finish(run.run_id)
    assert done.output == 1
    with pytest.raises((HookAnswered, HookClosed)):
        await disk.answer(run.run_id, 3, "hook#0")


async def test_of_fifty_concurrent_answers_one_wins(disk: World) -> None:
    await disk.load(ASK)
    run = await disk.run()
    token = disk.stage.ledger[0][1]
    answers = await asyncio.gather(
        *(disk.runtime.resume(token, str(n).encode()) for n in range(50)), return_exceptions=True
    )
    refused = [each for each in answers if isinstance(each, BaseException)]
    assert len(refused) == 49
    assert all(isinstance(each, HookAnswered | HookClosed) for each in refused)
    done = await disk.finish(run.run_id)
    assert done.types.count("hook_resumed") == 1
    winner = [n for n, each in enumerate(answers) if not isinstance(each, BaseException)]
    assert done.output == winner[0]


async def test_of_fifty_answers_to_an_evicted_run_one_wins(disk: World) -> None:
    await disk.load(ASK)
    run = await disk.run()
    await disk.restart()
    assert disk.live(run.run_id) is None
    token = disk.stage.ledger[0][1]
    answers = await asyncio.gather(
        *(disk.runtime.resume(token, str(n).encode()) for n in range(50)), return_exceptions=True
    )
    assert sum(not isinstance(each, BaseException) for each in answers) == 1
    assert (await disk.finish(run.run_id)).types.count("hook_resumed") == 1


async def test_a_payload_that_does_not_fit_leaves_the_hook_waiting(disk: World) -> None:
    await disk.load(ASK)
    run = await disk.run()
    with pytest.raises(InvalidInput) as refused:
        await disk.answer(run.run_id, "many")
    assert refused.value.errors == [
        {"loc": [], "msg": "Input should be a valid integer, unable to parse string as an integer"}
    ]
    with pytest.raises(KslError):
        await disk.runtime.resume_hook(run.run_id, None, b"NaN")
    assert (await disk.seen(run.run_id)).status == "waiting"
    await disk.answer(run.run_id, 3)
    assert (await disk.finish(run.run_id)).output == 3


async def test_an_empty_payload_is_null(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    return [await ctx.hook()]
""")
    run = await world.run()
    await world.runtime.resume_hook(run.run_id, None, b"")
    assert (await world.finish(run.run_id)).output == [None]


async def test_a_model_payload_arrives_as_the_model_live_and_replayed(world: World) -> None:
    await world.load("""
@dataclasses.dataclass
class Verdict:
    approved: bool
    at: datetime.datetime

@workflow
async def w(ctx: Context) -> Any:
    verdict = await ctx.hook(Verdict)
    await slow.run("then")
    return [type(verdict).__name__, verdict.approved, type(verdict.at).__name__]
""")
    run = await world.run()
    await world.answer(run.run_id, {"approved": "yes", "at": "2025-01-01T00:00:00Z"})
    await world.reload(run.run_id)
    assert (await world.finish(run.run_id)).output == ["Verdict", True, "datetime"]


async def test_a_hook_that_nobody_answers_raises_hook_timeout_at_the_await(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    hook = ctx.hook(timeout="10s")
    await ctx.sleep("1m")
    try:
        await hook
    except HookTimeout as error:
        return await echo.run("timed out")
""")
    run_id = await world.start()
    await world.advance(61)
    run = await world.seen(run_id)
    assert run.output == "timed out"
    assert run.flow[2:] == [
        "hook_created hook#0", "sleep_started sleep#0", "hook_expired hook#0", "sleep_completed sleep#0",
        "step_completed echo#0", "run_completed",
    ]  # fmt: skip
    with pytest.raises(HookClosed):
        await world.answer(run_id, 1, "hook#0")
    await world.crash_everywhere(run_id)


async def test_a_hook_timeout_that_leaves_the_body_fails_the_run_with_no_retry(world: World) -> None:
    await world.load(ASK)
    run_id = await world.start()
    await world.advance(3601)
    run = await world.seen(run_id)
    assert (run.status, run.error["type"], run.error["step"]) == ("failed", "HookTimeout", "hook#0")
    assert "run_retrying" not in run.types
    assert await world.store.next_timer_ms() is None


async def test_a_rejected_hook_raises_with_its_reason_and_no_retry_follows(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    try:
        await ctx.hook()
    except HookRejected as error:
        stage.notes.append((error.reason, str(error)))
        raise
""")
    run = await world.run()
    await world.runtime.reject_hook(run.run_id, None, reason="too dear", by="ada")
    done = await world.finish(run.run_id)
    assert world.stage.notes == [("too dear", "too dear")]
    assert (done.status, done.error["type"], done.error["message"]) == ("failed", "HookRejected", "too dear")
    assert done.error["step"] == "hook#0"

    async def reject(run_id: str) -> None:
        await world.runtime.reject_hook(run_id, None, reason="too dear")

    await world.crash_everywhere(run.run_id, meanwhile=reject)


async def test_a_person_can_retry_a_run_whose_hook_was_rejected_and_is_asked_again(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    return await ctx.hook(timeout="1h")
""")
    run = await world.run()
    (hook,) = await world.store.hooks()
    await world.runtime.reject_hook(run.run_id, None, reason="no")
    await world.finish(run.run_id)
    await world.runtime.retry(run.run_id)
    assert (await world.finish(run.run_id)).status == "waiting"
    (again,) = await world.store.hooks()
    assert again.token_hash == hook.token_hash
    await world.answer(run.run_id, "yes")
    assert (await world.finish(run.run_id)).output == "yes"


async def test_a_hook_can_be_awaited_twice_and_by_two_branches(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    hook = ctx.hook()
    async def waits():
        return await hook
    pair = await asyncio.gather(waits(), waits())
    return [*pair, await hook]
""")
    run = await world.run()
    await world.answer(run.run_id, 5)
    assert (await world.finish(run.run_id)).output == [5, 5, 5]


async def test_two_hooks_at_once_are_answered_by_their_step(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    return await asyncio.gather(ctx.hook(), ctx.hook())
""")
    run = await world.run()
    assert [item["step"] for item in run.waiting_on] == ["hook#0", "hook~2#0"]
    with pytest.raises(WrongState, match="hook#0"):
        await world.answer(run.run_id, 0)
    await world.answer(run.run_id, "second", "step:hook~2#0")
    assert (await world.seen(run.run_id)).status == "waiting"
    await world.answer(run.run_id, "first")
    assert (await world.finish(run.run_id)).output == ["first", "second"]


async def test_a_race_of_hook_and_sleep_is_settled_once(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    hook = ctx.hook()
    try:
        return await asyncio.wait_for(hook, 60)
    except TimeoutError:
        return "late"
""")
    answered = await world.run()
    await world.answer(answered.run_id, "yes")
    done = await world.finish(answered.run_id)
    assert done.output == "yes"
    assert "timer_fired" not in done.types
    late = await world.start()
    await world.advance(61)
    assert (await world.seen(late)).output == "late"
    with pytest.raises(HookClosed):
        await world.answer(late, 1, "hook#0")


async def test_open_hooks_are_closed_when_the_run_ends(disk: World) -> None:
    await disk.load("""
@workflow
async def w(ctx: Context) -> Any:
    ctx.hook()
    return await slow.run("done")
""")
    run_id = await disk.start()
    await disk.rest()
    assert len(await disk.store.hooks()) == 1
    await disk.finish(run_id)
    assert await disk.store.hooks() == []
    with pytest.raises(HookClosed):
        await disk.answer(run_id, 1, "hook#0")
    with pytest.raises(WrongState):
        await disk.answer(run_id, 1)


async def test_a_hook_in_a_sub_workflow_and_in_a_branch_has_its_own_link(world: World) -> None:
    await world.load("""
@workflow
async def inner(ctx: Context) -> Any:
    return await ctx.hook()

@workflow
async def w() -> Any:
    async def branch():
        return await inner.run()
    return await asyncio.gather(branch(), branch())
""")
    run = await world.run()
    assert sorted(item["step"] for item in run.waiting_on) == ["inner[0]#0/hook#0", "inner[1]#0/hook#0"]
    await world.answer(run.run_id, 0, "inner[0]#0/hook#0")
    await world.evict(run.run_id)
    await world.answer(run.run_id, 1, "inner[1]#0/hook#0")
    assert (await world.finish(run.run_id)).output == [0, 1]


async def test_a_deadline_that_passes_between_two_attempts_of_the_run_is_not_lost(world: World) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=2, initial="1h", maximum="1h", jitter=False))
async def w(ctx: Context) -> Any:
    hook = ctx.hook(timeout="1m")
    await fail.run("first", times=1)
    try:
        await hook
    except HookTimeout:
        return "nobody came"
""")
    run_id = await world.start()
    await world.rest()
    world.clock.pass_ms(120_000)
    await world.tick()
    await world.advance(3_700)
    assert (await world.seen(run_id)).output == "nobody came"


@pytest.mark.parametrize("early", [True, False])
async def test_a_hook_made_in_a_failed_attempt_takes_an_answer_before_the_next_and_in_it(
    world: World, early: bool
) -> None:
    await world.load("""
@workflow(retry=Retry(attempts=2, initial="1h", maximum="1h", jitter=False))
async def w(ctx: Context) -> Any:
    hook = ctx.hook()
    await fail.run("first", times=1)
    return await hook
""")
    run_id = await world.start()
    await world.rest()
    if early:
        await world.answer(run_id, "here", "hook#0")
        with pytest.raises(HookAnswered):
            await world.answer(run_id, "again", "hook#0")
    await world.advance(3_700)
    if not early:
        await world.answer(run_id, "here")
    run = await world.finish(run_id)
    assert run.output == "here"
    assert run.types.count("hook_resumed") == 1

    async def answer(run_id: str) -> None:
        await world.answer(run_id, "here")

    await world.crash_everywhere(run_id, meanwhile=answer)


async def test_timers_fire_in_the_order_of_their_moments(world: World) -> None:
    await world.load("""
@workflow
async def w(input: int, ctx: Context) -> Any:
    await ctx.sleep(input)
    stage.notes.append(input)
""")
    for n in (5, 3, 9, 1, 3):
        await world.start("w", n)
    await world.advance(10)
    assert world.stage.notes == [1, 3, 3, 5, 9]
