"""Options that cannot be used are told with the definition and the option, where they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ksl import Agent, Context, Retry, action, workflow
from ksl.errors import MalformedDefinition

Anything: Any = action  # as whoever has no type checker may call it
Whatever: Any = workflow
AnyRetry: Any = Retry
AnyAgent: Any = Agent


async def send(text: str) -> None: ...


async def flow(ctx: Context) -> None: ...


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a slug without its name": (
        lambda: Anything("send"),
        "@action stands on a function, and 'send' is none.",
    ),
    "of a workflow, too": (lambda: Whatever("flow"), '@workflow(slug="some-name")'),
    "options, and then no function": (lambda: Anything(slug="a")(3), "and 3 is none"),
    "a class": (lambda: Anything(int), "<class 'int'> is none"),
    "a number of attempts": (
        lambda: Anything(retry=3)(send),
        "action send: retry= takes a Retry(...), not 3.",
    ),
    "attempts of a run": (
        lambda: Whatever(retry=3)(flow),
        "workflow flow: retry= takes a Retry(...), not 3.",
    ),
    "a sum of money": (
        lambda: Whatever(budget=5)(flow),
        "workflow flow: budget= takes a Budget(...), not 5.",
    ),
    "no duration": (lambda: Anything(timeout="soon")(send), "action send: timeout: 'soon' is not a duration"),
    "a past duration": (lambda: Whatever(timeout=-1)(flow), "timeout: -1 is not a duration"),
    "text for a number": (
        lambda: Anything(concurrency="2")(send),
        "concurrency= takes a whole number, not '2'.",
    ),
    "none at once": (lambda: Whatever(concurrency=0)(flow), "concurrency=0 would never let it run"),
    "one skill as text": (
        lambda: AnyAgent("a", skills="refunds"),
        "agent a: skills=[...] takes a list of names",
    ),
    "a folder for a sandbox": (
        lambda: AnyAgent("a", sandbox="x"),
        "agent a: sandbox= takes a Sandbox(...), not 'x'.",
    ),
    "a number for a model": (lambda: AnyAgent("a", model=3), "agent a: model= takes text"),
    "turns as text": (lambda: AnyAgent("a", max_steps="x"), "max_steps='x' leaves it no turn"),
    "a rate without a time": (lambda: Anything(rate=10)(send), "rate=10 cannot be read"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_option_that_cannot_be_used_is_told_by_its_name(name: str) -> None:
    make, says = WRONG[name]
    with pytest.raises(MalformedDefinition) as told:
        make()
    assert says in str(told.value)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: AnyRetry(attempts="3"), "whole number"),
        (lambda: AnyRetry(attempts=2.5), "whole number"),
        (lambda: AnyRetry(on="OSError"), "as classes"),
        (lambda: AnyRetry(on=(OSError, 3)), "as classes"),
    ],
)
def test_a_retry_that_would_fail_at_the_first_failure_is_refused(
    make: Callable[[], object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_one_class_of_exception_needs_no_tuple() -> None:
    assert AnyRetry(on=OSError).on is OSError
