"""Declaring actions, and calling them outside any run."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from ksl import Action, ActionContext, action, workflow
from ksl.define.action import parse_rate
from ksl.errors import ActionIsLeaf, InvalidInput, MalformedDefinition, OutsideRun


@action
async def add_numbers(a: int, b: int = 2, *, ctx: ActionContext) -> int:
    """Adds two numbers."""
    return a + b


@action
def shout(text: str) -> str:
    return text.upper()


def test_slug_name_and_description_come_from_the_function() -> None:
    assert (add_numbers.slug, add_numbers.name) == ("add-numbers", "Add numbers")
    assert add_numbers.description == "Adds two numbers."
    assert action(slug="other", name="Other", description="")(shout.function).slug == "other"


def test_the_context_is_no_part_of_the_schemas() -> None:
    schema = add_numbers.input_schema()
    assert set(schema["properties"]) == {"a", "b"}
    assert schema["required"] == ["a"]
    assert add_numbers.output_schema() == {"type": "integer"}


async def test_run_outside_a_run_executes_at_once_with_the_same_validation() -> None:
    assert await add_numbers.run("1", b=5) == 6  # type: ignore[arg-type, call-arg]
    assert await shout.run("a") == "A"
    with pytest.raises(InvalidInput, match="a: "):
        await add_numbers.run("x")  # type: ignore[arg-type, call-arg]


async def test_run_outside_a_run_gives_each_call_its_own_idempotency_key() -> None:
    @action
    async def key(ctx: ActionContext) -> str:
        return ctx.idempotency_key

    assert await key.run() != await key.run()


async def test_calling_the_object_is_the_plain_function() -> None:
    assert await add_numbers(1, ctx=ActionContext()) == 3  # type: ignore[misc]
    assert await add_numbers(1, 4) == 5  # type: ignore[misc]
    assert shout("a") == "A"


async def test_an_action_outside_a_run_may_not_run_another_step_either() -> None:
    @workflow
    async def flow() -> None: ...

    @action
    async def nests(which: str) -> Any:
        return await (shout.run("a") if which == "action" else flow.run())

    for which in ("action", "workflow"):
        with pytest.raises(ActionIsLeaf):
            await nests.run(which)
    assert await shout.run("a") == "A"  # and the mark is taken off again


async def test_a_workflow_run_outside_a_run_says_how_to_start_one() -> None:
    @workflow
    async def flow() -> None: ...

    with pytest.raises(OutsideRun, match="ksl workflows run flow"):
        await flow.run()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: action(_generator), "generator"),
        (lambda: action(_async_generator), "generator"),
        (lambda: action(_many), "any number"),
        (lambda: action(_named), "any number"),
        (lambda: action(effect="twice")(shout.function), "at_most_once"),  # type: ignore[arg-type]
        (lambda: action(concurrency=0)(shout.function), "never"),
        (lambda: action(slug="Not A Slug")(shout.function), "slug"),
        (lambda: action(rate="often")(shout.function), "10/s"),
        (lambda: shout.scope("galaxy"), "organization"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_an_action_is_refused_with_what_can(make: Any, says: str) -> None:
    with pytest.raises(MalformedDefinition, match=says):
        make()


@pytest.mark.parametrize(
    ("text", "starts", "period_s"),
    [("10/s", 10, 1), ("100/m", 100, 60), ("5/30s", 5, 30), ("0.5/s", 0.5, 1), ("1/250ms", 1, 0.25)],
)
def test_a_rate_is_starts_per_time(text: str, starts: float, period_s: float) -> None:
    assert parse_rate(text, where="x") == (starts, period_s)


@pytest.mark.parametrize("text", ["", "10", "/s", "0/s", "-1/s", "10/0s", "nan/s", "10/fortnight"])
def test_a_rate_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(MalformedDefinition):
        parse_rate(text, where="x")


def test_a_secret_in_an_annotation_is_refused_when_the_schema_is_made() -> None:
    from pydantic import BaseModel, SecretStr

    class Login(BaseModel):
        password: SecretStr

    def inside(login: Login) -> str: ...
    def outside() -> SecretStr: ...

    inside.__annotations__["login"] = Login
    outside.__annotations__["return"] = SecretStr
    actions: list[Action[..., Any]] = [Action(inside), Action(outside)]
    for made in actions:
        with pytest.raises(MalformedDefinition, match="Credential"):
            made.prepare()


def test_an_annotation_without_a_schema_is_refused_naming_the_action() -> None:
    import threading

    def odd(lock: Any) -> str: ...

    odd.__annotations__["lock"] = threading.Thread
    with pytest.raises(MalformedDefinition, match="action odd"):
        Action(odd).prepare()


def test_the_signature_is_that_of_the_function() -> None:
    assert list(inspect.signature(shout).parameters) == ["text"]


def _generator() -> Any:
    yield 1


async def _async_generator() -> Any:
    yield 1


def _many(*values: int) -> None: ...
def _named(**values: int) -> None: ...
