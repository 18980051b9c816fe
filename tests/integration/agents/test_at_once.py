"""Prompts outside any run: the same body, with steps that are carried out at once."""

from __future__ import annotations

import pytest

from ksl import FatalError, Retry, RetryLater, StepFailed, action
from ksl.agent.at_once import StepsAtOnce

TRIES: list[int] = []


@pytest.fixture(autouse=True)
def no_tries() -> None:
    TRIES.clear()


@action
async def later(times: int) -> int:
    TRIES.append(times)
    if len(TRIES) <= times:
        raise RetryLater("not yet", after=0)
    return len(TRIES)


@action(retry=Retry(attempts=5, initial=0.001))
async def fatal() -> None:
    TRIES.append(0)
    raise FatalError("never")


@action(retry=Retry(attempts=3, initial=0.001, on=(KeyError,)))
async def some(error: str) -> int:
    TRIES.append(0)
    if len(TRIES) < 3:
        raise KeyError(error) if error == "again" else ValueError(error)
    return len(TRIES)


async def test_what_asks_for_another_attempt_gets_it_whatever_the_policy() -> None:
    assert await StepsAtOnce("x").action(later, (), {"times": 4}, key="later") == 5


async def test_but_not_for_ever() -> None:
    with pytest.raises(StepFailed) as failed:
        await StepsAtOnce("x").action(later, (), {"times": 99}, key="later")
    assert (failed.value.attempts, failed.value.type) == (10, "RetryLater")


async def test_a_fatal_error_is_not_tried_again_and_is_told_as_one() -> None:
    with pytest.raises(StepFailed, match="never") as failed:
        await StepsAtOnce("x").action(fatal, (), {}, key="fatal")
    assert len(TRIES) == 1
    assert getattr(failed.value, "fatal", None) is True


async def test_a_policy_names_what_is_tried_again() -> None:
    assert await StepsAtOnce("x").action(some, (), {"error": "again"}, key="some") == 3
    TRIES.clear()
    with pytest.raises(StepFailed, match="no"):
        await StepsAtOnce("x").action(some, (), {"error": "no"}, key="some")
    assert len(TRIES) == 1
