"""What a source and its attachments may be, told at their declaration."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ksl import Agent, Delivery, WebhookSource, workflow
from ksl.define.source import Asked, Source, collecting
from ksl.errors import MalformedDefinition, MalformedTrigger


@workflow
async def greet(input: dict[str, Any]) -> Any:
    return input


@workflow
async def other(input: dict[str, Any]) -> Any:
    return input


def test_an_attachments_id_names_its_source_and_its_target() -> None:
    source = WebhookSource("signup").attach(greet).attach(other)

    assert [attachment.id for attachment in source.attachments] == ["signup:greet", "signup:other"]


def test_a_workflow_is_attached_once() -> None:
    source = WebhookSource("signup").attach(greet)

    with pytest.raises(MalformedTrigger, match="signup:greet"):
        source.attach(greet, transform=lambda payload: payload)


def test_an_agent_is_attached_with_what_it_is_asked() -> None:
    agent = Agent("support")
    source = WebhookSource("signup", payload=dict[str, Any])
    source.attach(agent, prompt="New: {{payload.email}}, {{ payload.items[0].name }}, {{payload.n}}")

    (attachment,) = source.attachments
    assert attachment.id == "signup:support"
    assert attachment.transform is not None
    given = {"email": "ada@example.org", "items": [{"name": "pen"}], "n": 3}
    assert attachment.transform(given, None) == {"message": "New: ada@example.org, pen, 3"}
    with pytest.raises(ValueError, match=r"the payload has no email"):
        attachment.transform({}, None)


def test_what_an_agent_is_asked_may_be_a_function_of_the_payload() -> None:
    source = WebhookSource("signup").attach(Agent("support"), prompt=lambda payload: f"New: {payload}")

    (attachment,) = source.attachments
    assert attachment.transform is not None
    assert attachment.transform("x", None) == {"message": "New: x"}


def test_an_agent_takes_a_prompt_and_no_transform() -> None:
    with pytest.raises(MalformedTrigger, match="with `prompt`"):
        WebhookSource("signup").attach(Agent("support"), transform=lambda payload: payload)  # type: ignore[call-overload]
    with pytest.raises(MalformedTrigger, match="no path into the payload"):
        WebhookSource("signup").attach(Agent("support"), prompt="New: {{email}}")


def test_what_is_no_workflow_cannot_be_attached() -> None:
    with pytest.raises(MalformedTrigger, match="is neither"):
        WebhookSource("signup").attach(lambda payload: payload)  # type: ignore[call-overload]
    with pytest.raises(MalformedTrigger, match="prompt"):
        WebhookSource("signup").attach(greet, prompt="hello")


async def waits(_: Any) -> bool:
    return True


@pytest.mark.parametrize(
    "function",
    [lambda: True, lambda _a, _b, _c: True, lambda *, payload: payload, waits, 7],
    ids=["none", "three", "by name", "async", "no function"],
)
def test_a_filter_that_cannot_be_called_is_told_of_at_once(function: Any) -> None:
    with pytest.raises(MalformedTrigger, match="filter"):
        WebhookSource("signup", filter=function)
    with pytest.raises(MalformedTrigger, match="transform"):
        WebhookSource("signup").attach(greet, transform=function)


def with_delivery(payload: Any, delivery: Delivery) -> bool:
    return True


def with_optional(payload: Any, other: int = 7) -> bool:
    return other == 7


def with_optional_delivery(payload: Any, delivery: Delivery | None = None) -> bool:
    return delivery is not None


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (lambda _: True, False),
        (lambda _payload, _delivery: True, True),
        (with_delivery, True),
        (with_optional, False),
        (with_optional_delivery, True),
        (lambda *_payload: True, False),
        (bool, False),
    ],
)
def test_a_function_of_two_parameters_gets_the_delivery(function: Callable[..., Any], takes: bool) -> None:
    assert Asked(function, what="filter", where="here").takes_delivery is takes


@pytest.mark.parametrize("endpoint", ["", "a/b", "/a", "..", "ü", "a b", "a" * 101, "a?b"])
def test_an_endpoint_is_one_part_of_an_address(endpoint: str) -> None:
    with pytest.raises(MalformedTrigger, match="endpoint"):
        WebhookSource("signup", endpoint)


def test_the_endpoint_is_the_slug_where_it_is_left_out() -> None:
    assert WebhookSource("sign-up").endpoint == "sign-up"
    assert WebhookSource("signup", "Stripe_v1.2").endpoint == "Stripe_v1.2"


def test_a_slug_is_a_slug() -> None:
    with pytest.raises(MalformedDefinition, match="WebhookSource"):
        WebhookSource("Sign Up")


def test_what_verifies_nothing_is_no_scheme() -> None:
    with pytest.raises(MalformedTrigger, match="verify"):
        WebhookSource("signup", verify="secret")


def test_sources_are_collected_as_they_are_made() -> None:
    with collecting() as made:
        first = WebhookSource("first")
        WebhookSource("second").attach(greet)

    WebhookSource("third")
    assert [source.slug for source in made] == ["first", "second"]
    assert made[0] is first
    assert isinstance(first, Source)


def test_a_source_knows_where_it_was_declared() -> None:
    file, _, line = WebhookSource("signup").place.rpartition(":")

    assert file == __file__
    assert line.isdigit()
