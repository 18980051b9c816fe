from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from ksl import ActionContext, Context, Retry, StepFailed, action, workflow
from ksl.testing import ActionHangs, Environment, environment


class Sent(BaseModel):
    ok: bool


class Mail(BaseModel):
    to: str
    lines: list[str] = []


@action(retry=Retry(attempts=3, initial="1s", jitter=False))
async def send(mail: Mail, copies: int = 1) -> Sent:
    raise AssertionError("a stub stands in for this")


@action
def count(words: list[str]) -> int:
    return len(words)


@workflow(retry=Retry(attempts=1))
async def letters(input: Mail, ctx: Context) -> int:
    sent = await send.run(mail=input, copies=2)
    return await count.run(input.lines) if sent.ok else -1


INPUT = {"to": "ada", "lines": ["a", "b"]}


async def outcome(env: Environment) -> int:
    return await (await env.start(letters, INPUT)).result()


async def test_a_stub_returns_a_value_that_the_action_could_have_returned() -> None:
    async with environment() as env:
        env.stub(send, returns=Sent(ok=True))
        assert await outcome(env) == 2


async def test_a_value_of_a_stub_is_validated_as_the_actions_own() -> None:
    async with environment() as env:
        env.stub(send, returns={"ok": "perhaps"})
        run = await env.start(letters, INPUT)
        with pytest.raises(AssertionError, match="ValidationError"):
            await run.result()


async def test_a_stub_is_called_with_the_arguments_by_name_or_in_order_and_with_the_context() -> None:
    seen: list[Any] = []

    def by_name(mail: Mail, copies: int, ctx: ActionContext) -> Sent:
        seen.append((mail.to, copies, ctx.step_id, ctx.attempt))
        return Sent(ok=True)

    async def in_order(first: Mail, second: int) -> Sent:
        seen.append((first.to, second))
        return Sent(ok=True)

    def by_keywords(**given: int) -> Sent:
        return Sent(ok=given["copies"] == 2)

    for stub in (by_name, in_order, lambda: Sent(ok=True), by_keywords):
        async with environment() as env:
            env.stub(send, stub)
            assert await outcome(env) == 2
    assert seen == [("ada", 2, "send#0", 1), ("ada", 2)]


async def test_a_callable_given_as_the_value_is_called() -> None:
    def in_pairs(mail: Mail, copies: int) -> Sent:
        return Sent(ok=copies == 2)

    async with environment() as env:
        env.stub(send, returns=in_pairs)
        assert await outcome(env) == 2


async def test_a_stub_for_the_first_attempts_leaves_the_rest_to_the_one_before() -> None:
    async with environment() as env:
        env.stub(send, returns=Sent(ok=True))
        env.stub(send, raises=ConnectionError("down"), attempts=2)
        assert await outcome(env) == 2
        assert [(call.attempt, call.status) for call in env.calls(send)] == [
            (1, "failed"),
            (2, "failed"),
            (3, "completed"),
        ]


async def test_calls_say_what_each_attempt_was_called_with_and_what_came_of_it() -> None:
    async with environment() as env:
        env.stub(send, returns=Sent(ok=True))
        run = await env.start(letters, INPUT)
        sent, counted = env.calls
        assert (sent.run_id, sent.step, sent.attempt, sent.action) == (run.run_id, "send#0", 1, "send")
        assert sent.input == {"mail": INPUT, "copies": 2}
        assert sent.arguments["mail"] == Mail(to="ada", lines=["a", "b"])
        assert sent.output == {"ok": True}
        assert sent.stubbed
        assert counted.arguments == {"words": ["a", "b"]}
        assert counted.output == 2
        assert not counted.stubbed
        assert env.calls("count") == [counted]
        assert len(env.calls) == 2


async def test_a_failed_call_keeps_its_error() -> None:
    @workflow
    async def tries(input: Mail, ctx: Context) -> str:
        try:
            await send.run(mail=input)
        except StepFailed as failure:
            return f"{failure.type} {failure.attempts}"
        return "sent"

    async with environment() as env:
        env.stub(send, raises=TimeoutError)
        run = await env.start(tries, INPUT)
        assert await run.result() == "TimeoutError 3"
        assert [str(call.error) for call in env.calls(send)] == ["TimeoutError: "] * 3


async def test_a_stub_takes_one_of_a_function_a_value_and_an_error() -> None:
    env = environment()
    with pytest.raises(TypeError, match="exactly one"):
        env.stub(send)
    with pytest.raises(TypeError, match="exactly one"):
        env.stub(send, returns=1, raises=ValueError())
    with pytest.raises(TypeError, match="not an action"):
        env.stub(letters, returns=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_an_action_that_never_ends_is_named_after_the_patience_of_the_environment() -> None:
    async def hang() -> Sent:
        await asyncio.Event().wait()
        return Sent(ok=True)

    async with environment(patience="10ms") as env:
        env.stub(send, hang)
        with pytest.raises(ActionHangs, match=r"send#0 of run_1 did not end within 0\.01 s"):
            await env.start(letters, INPUT)


async def test_a_call_whose_outcome_nobody_wants_any_more_is_cancelled() -> None:
    async with environment() as env:

        async def slow() -> Sent:
            await env.sleep("1h")
            return Sent(ok=True)

        env.stub(send, slow)
        run = await env.start(letters, INPUT)
        assert env.calls[0].status == "under way"
        await env.cancel(run)
        assert env.calls[0].status == "cancelled"
