from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from ksl import Action, ActionContext, Credential, Credentials, OAuth, action
from ksl.errors import CredentialNotNamed, MalformedDefinition
from ksl.testing import environment


class Token(BaseModel):
    token: SecretStr


slack = Credential("slack", fields=Token)
crm = Credential("crm", fields=Token)


@action(credentials=[slack])
async def post(ctx: ActionContext, text: str) -> str:
    return f"{text} {len(ctx.credentials[slack].token.get_secret_value())}"


@action(credentials=[slack])
async def asks_for_another(ctx: ActionContext) -> str:
    return ctx.credentials[crm].token.get_secret_value()


@pytest.mark.parametrize("name", ["", "Slack", "a b", "a_b", "-a", "a--b", "a/b", "x" * 101])
def test_a_name_is_small_letters_digits_and_dashes(name: str) -> None:
    with pytest.raises(MalformedDefinition, match=r"test_credential\.py:"):
        Credential(name, fields=Token)


def test_a_credential_says_what_its_fields_are() -> None:
    anything: Any = Credential
    with pytest.raises(MalformedDefinition, match=r"neither fields= .* nor oauth="):
        anything("slack")
    with pytest.raises(MalformedDefinition, match="a pydantic model"):
        anything("slack", fields={"token": str})
    assert slack.fields is Token
    token = Credential("cal", oauth=OAuth("https://a.test/authorize", "https://a.test/token")).fields
    assert token(access_token=SecretStr("abc")).authorization == "Bearer abc"


def test_an_action_names_credentials_and_each_name_once() -> None:
    async def function() -> None: ...

    wrong: Any = ["slack"]
    with pytest.raises(MalformedDefinition, match="takes Credential objects"):
        Action(function, credentials=wrong)
    with pytest.raises(MalformedDefinition, match="two of the name 'slack'"):
        Action(function, credentials=[slack, Credential("slack", fields=Token)])
    assert Action(function, credentials=[slack, slack]).credentials == (slack,)


def test_credentials_are_got_by_object_and_by_name_and_never_shown() -> None:
    given = Credentials({slack: Token(token=SecretStr("very-secret"))})
    assert given[slack] is given["slack"]
    assert (slack in given, "crm" in given, list(given), len(given)) == (True, False, ["slack"], 1)
    assert "very-secret" not in repr(given) + repr(slack)
    with pytest.raises(CredentialNotNamed, match=r"it was given: slack\. Name it in @action"):
        given[crm]


async def test_a_unit_test_hands_an_action_its_credentials() -> None:
    context = ActionContext(credentials=Credentials({slack: Token(token=SecretStr("12345678"))}))
    assert await post.function(context, "hello") == "hello 8"


async def test_outside_a_run_the_environment_of_the_test_gives_them() -> None:
    async with environment() as env:
        env.credentials(slack, {"token": "given-by-the-test"})
        await env.settle()
        assert await post.run(text="hi") == "hi 17"
        with pytest.raises(CredentialNotNamed):
            await asks_for_another.run()
