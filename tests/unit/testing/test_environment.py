from __future__ import annotations

import asyncio
import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ksl import Context, Hook, HookRejected, HookTimeout, Retry, StepFailed, action, bounded, workflow
from ksl.errors import DuplicateSlug, HookAnswered, InvalidInput
from ksl.testing import DoesNotReplay, RunFailed, RunNotEnded, environment


class Decision(BaseModel):
    approved: bool


class Request(BaseModel):
    id: int


effects: list[str] = []


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()


@action
async def note(text: str) -> str:
    effects.append(text)
    return text


@action(timeout="30s", retry=Retry(attempts=2, initial="10s", jitter=False))
async def fetch(url: str) -> str:
    return f"<{url}>"


@action(rate="1/m")
async def slowly(n: int) -> int:
    return n


@action
def threaded(n: int) -> int:
    return threading.get_ident()


@workflow
async def approval(input: Request, ctx: Context) -> Decision:
    await note.run(f"asked for {input.id}")
    await ctx.sleep("1d")
    return await ctx.hook(Decision, name="boss", title="May I?")


@workflow
async def child(input: int, ctx: Context) -> int:
    await ctx.sleep("1h")
    return len(await note.run(f"child {input}"))


@workflow
async def parent(input: int, ctx: Context) -> list[int]:
    one, two = await asyncio.gather(child.run(input), child.run(input + 1))
    return [one, two]


@workflow(retry=Retry(attempts=1))
async def three_hooks(ctx: Context) -> list[Any]:
    answers: list[Any] = []
    for number in range(3):
        await ctx.sleep("10d")
        answers.append(await ctx.hook(name=f"question {number}"))
    return answers


async def test_the_example_of_the_contract() -> None:
    async with environment() as env:
        env.stub(note, returns="noted")
        run = await env.start(approval, {"id": 7})
        await env.advance("2d")
        await env.resume(run.hooks[0], {"approved": True})
        assert (await run.result()).approved
        assert effects == []


async def test_the_input_may_be_a_model_and_is_validated() -> None:
    async with environment() as env:
        await env.start(approval, Request(id=7))
        assert effects == ["asked for 7"]
        with pytest.raises(InvalidInput):
            await env.start(approval, {"id": "seven"})


async def test_a_run_says_what_it_waits_for() -> None:
    async with environment() as env:
        run = await env.start(approval, {"id": 7})
        assert run.status == "sleeping"
        (sleep,) = run.waiting_on
        assert (sleep.kind, sleep.step) == ("sleep", "sleep#0")
        assert run.hooks == []

        await env.advance("1d")
        assert run.status == "waiting"
        (hook,) = run.hooks
        assert (hook.step, hook.name, hook.title) == ("hook#0", "boss", "May I?")
        assert hook.schema["properties"]["approved"] == {"title": "Approved", "type": "boolean"}
        assert hook.resume_url.endswith(hook.token)
        assert [event.type for event in env.events(run)][-2:] == ["sleep_completed", "hook_created"]
        assert run.output is None


async def test_time_passes_by_the_duration_or_until_a_moment() -> None:
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    async with environment(now=start) as env:
        run = await env.start(three_hooks)
        await env.advance(timedelta(days=9))
        assert (env.now, run.status) == (start + timedelta(days=9), "sleeping")
        await env.advance(start + timedelta(days=10))
        assert run.status == "waiting"
        with pytest.raises(ValueError, match="does not go back"):
            await env.advance(start)


async def test_what_is_due_on_the_way_happens_at_its_own_time() -> None:
    @workflow
    async def ticking(ctx: Context) -> list[str]:
        seen = [ctx.now()]
        for _ in range(3):
            await ctx.sleep("1h")
            seen.append(ctx.now())
        return [f"{moment:%H:%M}" for moment in seen]

    async with environment() as env:
        run = await env.start(ticking)
        await env.advance("1w")
        assert run.output == ["09:00", "10:00", "11:00", "12:00"]


async def test_a_result_lets_as_much_time_pass_as_the_run_sleeps() -> None:
    async with environment() as env:
        assert await (await env.start(parent, 4)) == [7, 7]
        assert effects == ["child 4", "child 5"]
        assert env.now - datetime(2026, 1, 5, 9, tzinfo=UTC) < timedelta(hours=1, seconds=1)


async def test_a_result_that_only_an_answer_can_bring_is_refused_with_what_is_missing() -> None:
    async with environment() as env:
        run = await env.start(approval, {"id": 7})
        with pytest.raises(RunNotEnded, match=r"waits for an answer to hook#0 \(boss\)"):
            await run.result()


async def test_the_result_of_a_failed_run_is_its_error() -> None:
    @workflow(retry=Retry(attempts=2, initial="1h"))
    async def failing() -> None:
        await note.run("before")
        raise ValueError("no such card")

    async with environment() as env:
        run = await env.start(failing)
        assert run.status == "queued"
        with pytest.raises(RunFailed, match="ValueError: no such card") as caught:
            await run.result()
        assert caught.value.error is not None
        assert caught.value.error.message == "no such card"
        assert (run.status, run.attempt) == ("failed", 2)
        assert effects == ["before"]


async def test_hooks_are_rejected_expire_and_take_one_answer() -> None:
    @workflow
    async def asks(ctx: Context) -> str:
        async def ask(hook: Hook[Any]) -> str:
            try:
                return str(await hook)
            except HookRejected as rejection:
                return f"rejected: {rejection.reason}"
            except HookTimeout:
                return "late"

        hooks = [ctx.hook(name=name, timeout="1d") for name in ("first", "second", "third")]
        return ", ".join(await asyncio.gather(*(ask(hook) for hook in hooks)))

    async with environment() as env:
        run = await env.start(asks)
        first, second, _ = run.hooks
        await env.resume(first, 1)
        with pytest.raises(HookAnswered):
            await env.resume(first, 2)
        await env.reject(second, "no")
        assert await run.result() == "1, rejected: no, late"


async def test_a_payload_that_does_not_fit_leaves_the_hook_waiting() -> None:
    async with environment() as env:
        run = await env.start(approval, {"id": 7})
        await env.advance("1d")
        with pytest.raises(InvalidInput):
            await env.resume(run, {"approved": "sometimes"})
        await env.resume(run, Decision(approved=False))
        assert run.output == Decision(approved=False)


async def test_a_cancelled_run_cleans_up() -> None:
    @workflow
    async def tidy(ctx: Context) -> None:
        try:
            await ctx.sleep("1w")
        finally:
            await note.run("tidied")

    async with environment() as env:
        run = await env.start(tidy)
        await env.cancel(run, reason="enough")
        assert run.status == "cancelled"
        assert effects == ["tidied"]
        with pytest.raises(RunFailed, match="cancelled"):
            await run.result()


async def test_a_timeout_of_an_action_and_its_backoff_take_no_real_time() -> None:
    @workflow
    async def fetches() -> str:
        return await fetch.run("a")

    async with environment(seed=3) as env:

        async def slow(url: str) -> str:
            await env.sleep("1h")
            return "never"

        env.stub(fetch, slow, attempts=1)
        run = await env.start(fetches)
        assert run.status == "running"
        await env.advance("29s")
        assert env.calls[0].status == "under way"
        await env.advance("1s")
        assert str(env.calls[0].error) == "TimeoutError: action fetch took longer than its timeout of 30 s"
        assert [item.kind for item in run.waiting_on] == ["retry"]
        assert await run.result() == "<a>"


async def test_a_rate_of_an_action_takes_no_real_time() -> None:
    @workflow
    async def many() -> list[int]:
        return await bounded(5, [slowly.run(n) for n in range(5)])

    async with environment() as env:
        run = await env.start(many)
        assert len(env.calls) == 1
        await env.advance("2m")
        assert len(env.calls) == 3
        assert await run.result() == [0, 1, 2, 3, 4]


async def test_a_step_in_flight_can_be_cancelled() -> None:
    @workflow
    async def fetches() -> str:
        return await fetch.run("a")

    async with environment() as env:

        async def slow() -> str:
            try:
                await env.sleep("1h")
            finally:
                effects.append("stopped")
            return ""

        env.stub(fetch, slow)
        run = await env.start(fetches)
        await env.cancel(run)
        assert (run.status, effects) == ("cancelled", ["stopped"])


async def test_what_is_in_flight_at_the_end_is_stopped() -> None:
    @workflow
    async def fetches() -> str:
        return await fetch.run("a")

    async with environment() as env:

        async def slow() -> str:
            try:
                await env.sleep("10s")
            finally:
                effects.append("stopped")
            return ""

        env.stub(fetch, slow)
        await env.start(fetches)
    assert effects == ["stopped"]
    with pytest.raises(RuntimeError, match="closed"):
        await environment_closed()


async def environment_closed() -> None:
    env = environment()
    await env.close()
    await env.start(approval, {"id": 1})


async def test_plain_functions_run_in_a_thread_and_are_awaited() -> None:
    @workflow
    async def threads() -> int:
        return await threaded.run(1)

    async with environment() as env:
        run = await env.start(threads)
        assert run.output not in (None, threading.get_ident())


async def test_a_held_run_says_why_and_goes_on_once_it_is_put_right() -> None:
    asked = [1]

    @workflow
    async def drifting(ctx: Context) -> str:
        await note.run(f"input {asked[0]}")
        await ctx.sleep("1h")
        await ctx.sleep("1h")
        return "done"

    async with environment(replay_at_every_wait=True) as env:
        run = await env.start(drifting)
        asked[0] = 2
        with pytest.raises(DoesNotReplay):
            await env.advance("1h")
        assert run.status == "held"
        assert run.error is not None
        assert run.error.code == "KSL402"
        with pytest.raises(RunFailed, match="held"):
            await run.result()
        asked[0] = 1
        await env.retry(run)
        assert await run.result() == "done"


async def test_a_run_that_does_not_replay_is_found_at_its_wait() -> None:
    reached: list[int] = []

    @workflow
    async def counting(ctx: Context) -> None:
        reached.append(1)
        await note.run(f"time {len(reached)}")
        await ctx.sleep("1h")

    async with environment(replay_at_every_wait=True) as env:
        with pytest.raises(DoesNotReplay, match="time 1"):
            await env.start(counting)
    async with environment() as env:
        run = await env.start(counting)
        await run.result()


async def test_a_run_that_is_replayed_at_every_wait_does_nothing_twice() -> None:
    async with environment(replay_at_every_wait=True) as env:
        run = await env.start(parent, 1)
        assert await run.result() == [7, 7]
        other = await env.start(three_hooks)
        for number in range(3):
            await env.advance("10d")
            await env.resume(other, number)
        assert await other.result() == [0, 1, 2]
        assert effects == ["child 1", "child 2"]


async def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    @workflow(retry=Retry(attempts=3, initial="10s"))
    async def chance(ctx: Context) -> None:
        await note.run(f"{ctx.random().random()} {ctx.uuid()}")
        raise ValueError(str(ctx.now()))

    async def history(seed: int) -> list[Any]:
        async with environment(seed=seed) as env:
            run = await env.start(chance)
            with pytest.raises(RunFailed):
                await run.result()
            return [run.events, run.logs]

    assert await history(1) == await history(1)
    assert await history(1) != await history(2)


async def test_two_workflows_of_one_slug_are_refused_with_both_places() -> None:
    @workflow(slug="approval")
    async def another() -> None: ...

    async with environment() as env:
        await env.start(approval, {"id": 1})
        with pytest.raises(DuplicateSlug, match=r"test_environment\.py:\d+ and .*test_environment\.py:\d+"):
            await env.start(another)


async def test_a_sub_workflow_that_the_source_does_not_show_is_given_to_the_environment() -> None:
    table = {"child": child}

    @workflow
    async def chooses(input: str) -> int:
        return await table[input].run(1)

    async with environment(child) as env:
        assert await (await env.start(chooses, "child")) == 7


async def test_an_assert_in_a_body_is_rewritten_by_pytest_and_its_steps_keep_their_ids() -> None:
    @workflow(retry=Retry(attempts=1))
    async def asserting() -> None:
        assert await note.run("a") == "a", await note.run("never")
        assert (await note.run("b")) == "c" and (await note.run("d")), "as it should be"  # noqa: PT018

    async with environment() as env:
        run = await env.start(asserting)
        with pytest.raises(RunFailed, match="as it should be"):
            await run.result()
        assert [call.step for call in env.calls] == ["note#0", "note~3#0"]


async def test_nothing_real_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A month of sleeps and three hooks, with neither file nor socket nor thread nor waiting."""
    import builtins
    import os
    import time

    loop = asyncio.get_running_loop()

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("something real was touched")

    async with environment() as warm:
        await warm.start(three_hooks)  # parses this file
    for owner, name in [
        (builtins, "open"),
        (os, "open"),
        (Path, "mkdir"),
        (socket, "socket"),
        (threading.Thread, "start"),
        (time, "sleep"),
        (loop, "call_later"),
        (loop, "call_at"),
    ]:
        monkeypatch.setattr(owner, name, refuse)
    async with environment() as env:
        run = await env.start(three_hooks)
        for number in range(3):
            await env.advance("10d")
            await env.resume(run.hooks[0], number)
        assert run.output == [0, 1, 2]
        assert run.status == "succeeded"
    monkeypatch.undo()


async def test_failures_of_steps_reach_the_body() -> None:
    @workflow
    async def catches() -> str:
        try:
            await note.run("x")
        except StepFailed as failure:
            return f"{failure.step_id} {failure.type}"
        return ""

    async with environment() as env:
        env.stub(note, raises=KeyError("k"))
        assert await (await env.start(catches)) == "note#0 KeyError"
