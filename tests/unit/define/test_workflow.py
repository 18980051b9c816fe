"""Declaring workflows: which parameter is what, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ksl import Context, Retry, Workflow, workflow
from ksl.errors import MalformedDefinition


def parameters(function: Any) -> tuple[str | None, str | None]:
    made: Workflow[Any, Any] = Workflow(function)
    return made.input_parameter, made.context_parameter


def test_parameters_are_told_by_their_annotations() -> None:
    async def none() -> None: ...
    async def only_context(c: Context) -> None: ...
    async def only_input(order: int) -> None: ...
    async def both(order: int, ctx: Context) -> None: ...
    async def turned(ctx: Context, order: int) -> None: ...
    async def bare(order, ctx): ...  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]

    assert parameters(none) == (None, None)
    assert parameters(only_context) == (None, "c")
    assert parameters(only_input) == ("order", None)
    assert parameters(both) == parameters(turned) == parameters(bare) == ("order", "ctx")


def test_the_schemas_are_the_annotations() -> None:
    @workflow
    async def flow(input: list[int]) -> dict[str, float]: ...  # type: ignore[empty-body]

    @workflow
    async def nothing(ctx: Context) -> None: ...

    assert flow.input_schema() == {"type": "array", "items": {"type": "integer"}}
    assert flow.output_schema() == {"type": "object", "additionalProperties": {"type": "number"}}
    assert nothing.input.decode(b"{}") is None
    assert nothing.input.decode(b"null") is None


def test_the_default_policy_is_three_attempts_from_one_second_to_five_minutes() -> None:
    @workflow
    async def flow() -> None: ...

    assert (flow.retry.attempts, flow.retry.initial, flow.retry.factor, flow.retry.maximum) == (
        3,
        "1s",
        2.0,
        "5m",
    )
    assert workflow(retry=Retry(attempts=1), timeout="1h")(flow.function).timeout_s == 3600


@pytest.mark.parametrize(
    ("function", "options", "says"),
    [
        ("def f(): ...", {}, "async def"),
        ("async def f(): yield 1", {}, "yield"),
        ("async def f(a: int, b: int): ...", {}, "too many"),
        ("async def f(*args): ...", {}, "ordinary"),
        ("async def f(a, /): ...", {}, "ordinary"),
        ("async def f(): ...", {"concurrency": 0}, "never"),
        ("async def f(): ...", {"subscription": "daily"}, "subscribable"),
        ("async def f(): ...", {"slug": "-x"}, "slug"),
    ],
)
def test_what_cannot_be_a_workflow_is_refused_with_why(
    function: str, options: dict[str, Any], says: str
) -> None:
    space: dict[str, Any] = {}
    exec(function, space)
    with pytest.raises(MalformedDefinition, match=says):
        workflow(**options)(space["f"])


async def test_calling_the_object_is_the_plain_function() -> None:
    @workflow
    async def flow(input: int) -> int:
        return input + 1

    assert await flow(1) == 2
