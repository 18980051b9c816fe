"""Credentials in an environment: given by the test, told in the record, masked as by a server."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from ksl import ActionContext, Credential, Retry, action, workflow
from ksl.testing import environment


class Token(BaseModel):
    token: SecretStr
    channel: str = "general"


slack = Credential("slack", fields=Token)


@action(credentials=[slack], retry=Retry(attempts=3, initial=0))
async def post(ctx: ActionContext, text: str) -> dict[str, str]:
    given = ctx.credentials[slack]
    return {"channel": given.channel, "echo": f"{text} {given.token.get_secret_value()}"}


@action(credentials=[slack])
def post_in_a_thread(ctx: ActionContext) -> str:
    return ctx.credentials[slack].token.get_secret_value()


@workflow(retry=Retry(attempts=3, initial=0))
async def posting() -> dict[str, str]:
    return await post.run(text="hi")


@workflow
async def threaded() -> str:
    return await post_in_a_thread.run()


@workflow(retry=Retry(attempts=1))
async def of_a_user() -> dict[str, str]:
    return await post.scope("user").run(text="hi")


async def test_a_step_is_given_what_the_test_gave_and_the_body_gets_what_is_recorded() -> None:
    async with environment() as env:
        env.credentials(slack, Token(token=SecretStr("canary-of-the-test"), channel="ops"))
        run = await env.start(posting)
        threads = await env.start(threaded)

        assert await run.result() == {"channel": "ops", "echo": "hi [redacted:slack]"}
        assert await threads.result() == "[redacted:slack]"
        (completed,) = [event for event in env.history(run).events if event.type == "step_completed"]
        assert b"canary-of-the-test" not in (completed.data or b"")
        assert completed.meta is not None
        assert [(use.name, use.scope) for use in completed.meta.credentials] == [("slack", "project")]


async def test_a_missing_credential_fails_at_once_and_a_retry_finds_it() -> None:
    async with environment() as env:
        run = await env.start(posting)
        assert run.status == "failed"
        assert run.error is not None
        assert run.error.type == "MissingCredential"
        assert [call.attempt for call in env.calls(post)] == [1]

        env.credentials(slack, {"token": "set-in-the-meantime"})
        await env.retry(run)

        assert (await run.result())["channel"] == "general"


async def test_a_pinned_user_is_not_the_project() -> None:
    async with environment() as env:
        env.credentials(slack, {"token": "of-the-project"})
        run = await env.start(of_a_user)
        assert run.error is not None
        assert run.error.type == "MissingCredential"


async def test_a_stub_needs_none() -> None:
    async with environment() as env:
        env.stub(post, returns={"channel": "stubbed"})
        assert await (await env.start(posting)).result() == {"channel": "stubbed"}


async def test_what_does_not_fit_the_model_is_the_tests_mistake() -> None:
    async with environment() as env:
        with pytest.raises(ValidationError):
            env.credentials(slack, {"tokn": "x"})
