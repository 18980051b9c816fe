from __future__ import annotations

import asyncio
import dataclasses
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from ksl import Context, Hook, HookRejected, Retry, StepFailed, StepInterrupted, action, bounded, workflow
from ksl.engine.attempts import Attempts, Result
from ksl.engine.call import Call
from ksl.errors import ReplayMismatch
from ksl.testing import Environment, RunNotEnded, WaitingHook, crash_test, environment, replay

ledger: list[str] = []


@pytest.fixture(autouse=True)
def empty_ledger() -> None:
    ledger.clear()


@action
async def act(n: int) -> int:
    ledger.append(f"act {n}")
    return n + 1


@action
def charge(cents: int) -> str:
    ledger.append(f"charge {cents}")
    return f"receipt for {cents}"


@action(effect="at_most_once")
async def once(n: int) -> int:
    return n


@action(retry=Retry(attempts=3, initial="1m"))
async def flaky(n: int) -> int:
    return n


@workflow
async def inner(input: int, ctx: Context) -> int:
    await ctx.sleep("1m")
    return await act.run(input)


@workflow(retry=Retry(attempts=2, initial="1s"))
async def everything(input: int, ctx: Context) -> list[int | str]:
    seen: list[int | str] = [await act.run(input)]
    seen.append(await flaky.run(1))
    seen.extend(await asyncio.gather(act.run(10), inner.run(20)))
    seen.extend(await bounded(2, [act.run(n) for n in range(3)]))
    hook = ctx.hook(int, name="how many", timeout="1d")
    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(answer(hook))
        group.create_task(asyncio.sleep(5))
    seen.append(waiter.result())
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(act.run(7), ctx.sleep("1h"))
    except TimeoutError:
        seen.append("too late")
    try:
        await charge.run(3)
    except StepFailed as failure:
        seen.append(failure.type)
    if ctx.attempt == 1:
        raise ValueError("the first attempt of the run fails")
    seen.append(f"{ctx.random().random()} {ctx.now()}")
    return seen


async def answer(hook: Hook[int]) -> int:
    return await hook


async def test_a_run_that_uses_everything_holds_from_every_cut() -> None:
    def setup(env: Environment) -> None:
        env.stub(flaky, raises=ConnectionError("down"), attempts=2)
        env.stub(charge, raises=PermissionError("broke"))

    report = await crash_test(everything, 1, setup=setup, answers={"how many": 4})
    assert report.ok, str(report)
    assert report.status == "succeeded"
    assert report.trials == report.events - 1 > 20
    assert report.effects >= 9
    assert report.interrupted == []
    assert str(report).endswith("0 divergences, 0 extra effects")


async def test_a_run_that_uses_everything_replays_and_shows_where_an_edit_no_longer_fits() -> None:
    async with environment() as env:
        env.stub(charge, raises=PermissionError("broke"))
        run = await env.start(everything, 1)
        while not run.hooks:
            await env.pass_to_next(run)
        await env.resume(run, 4)
        await run.result()
        history = env.history(run)
        made = len(env.calls)
    assert (await replay(everything, history)).status == "succeeded"
    assert len(env.calls) == made
    for event in history.events:
        if event.type == "step_completed" and event.meta and event.meta.kind == "action":
            edited = [replace(each, data=b"[]") if each is event else each for each in history.events]
            with pytest.raises(
                ReplayMismatch, match=re.escape(f"step_completed of step:{event.step} at event {event.seq}")
            ):
                await replay(everything, dataclasses.replace(history, events=tuple(edited)))


async def test_a_body_that_uses_chance_is_found() -> None:
    @workflow
    async def chance(ctx: Context) -> int:
        await act.run(round(random.random() * 1e9))
        return await act.run(2)

    report = await crash_test(chance)
    assert not report.ok
    assert "KSL402" in str(report) or "was recorded" in str(report)
    assert {finding.cut for finding in report.divergences} >= {3, 4}


async def test_a_body_that_returns_chance_is_found() -> None:
    @workflow
    async def chance(ctx: Context) -> float:
        await act.run(1)
        return random.random()

    report = await crash_test(chance)
    assert not report.ok
    assert [finding.cut for finding in report.divergences] == [1, 2, 3]
    assert "undisturbed it ends succeeded 0." in str(report.divergences[0])


async def test_a_body_that_counts_in_the_process_is_found() -> None:
    counter = [0]

    @workflow
    async def counting(ctx: Context) -> int:
        counter[0] += 1
        await ctx.sleep("1d")
        if counter[0] > 1:
            await act.run(1)
        return len(await charge.run(2))

    report = await crash_test(counting)
    assert not report.ok
    assert any("act#0 was performed" in finding.message for finding in report.extra_effects)


async def test_an_action_that_the_body_calls_directly_is_found_as_a_double_effect() -> None:
    @workflow
    async def careless(ctx: Context) -> int:
        charge(250)
        await act.run(1)
        await ctx.sleep("1d")
        return 1

    report = await crash_test(careless)
    assert not report.ok
    assert report.divergences == []
    assert [finding.cut for finding in report.extra_effects] == [2, 3, 4, 5]
    assert "calls charge directly" in report.extra_effects[0].message
    assert charge.function(1) == "receipt for 1"  # as it was
    assert charge.function.__name__ == "charge"


async def test_a_step_that_is_performed_again_under_another_id_is_found() -> None:
    lives = [0]

    @workflow
    async def shifting(ctx: Context) -> int:
        lives[0] += 1
        total = 0
        for _ in range(lives[0]):
            total += await act.run(1)
        await ctx.sleep("1d")
        return 0 * total

    report = await crash_test(shifting)
    assert not report.ok
    assert any("act#1" in finding.message for finding in [*report.extra_effects, *report.divergences])


async def test_a_step_that_is_not_run_again_is_told_of_and_is_no_divergence() -> None:
    @workflow(retry=Retry(attempts=1))
    async def careful() -> int:
        try:
            return await once.run(1)
        except StepInterrupted:
            return -1

    report = await crash_test(careful)
    assert report.ok, str(report)
    assert len(report.interrupted) == 1


async def test_a_failing_run_fails_alike_from_every_cut() -> None:
    @workflow(retry=Retry(attempts=2))
    async def failing() -> None:
        await act.run(1)
        raise KeyError("k")

    report = await crash_test(failing)
    assert report.ok, str(report)
    assert report.status == "failed"


async def test_hooks_are_answered_by_name_by_step_by_a_function_or_left_to_their_timeout() -> None:
    @workflow
    async def asks(ctx: Context) -> str:
        try:
            return str(await ctx.hook(name="name", timeout="1d"))
        except HookRejected as rejection:
            return rejection.reason

    def by_function(hook: WaitingHook) -> str | None:
        return hook.name

    ways: list[Any] = [{"name": 1}, {"hook#0": 1}, by_function, {"name": HookRejected("no")}, None]
    for answers in ways:
        report = await crash_test(asks, answers=answers)
        assert report.ok, str(report)

    @workflow
    async def waits(ctx: Context) -> None:
        await ctx.hook()

    with pytest.raises(RunNotEnded, match="hook#0"):
        await crash_test(waits)


async def test_an_engine_that_performs_a_step_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Attempts.start

    def twice(
        self: Attempts,
        run_id: str,
        call: Call,
        number: int,
        done: Callable[[Result], None],
        subscriber: str | None = None,
    ) -> None:
        start(self, run_id, call, number, done, subscriber)
        start(self, run_id, call, number, done, subscriber)

    monkeypatch.setattr(Attempts, "start", twice)

    @workflow
    async def simple() -> int:
        return await act.run(1)

    report = await crash_test(simple)
    assert not report.ok
    assert report.divergences == []
    assert [finding.cut for finding in report.extra_effects] == [4, 1, 2]
    assert ledger[:2] == ["act 1", "act 1"]
