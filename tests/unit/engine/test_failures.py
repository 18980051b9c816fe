"""Failures as data, and which steps a retry of the run reopens."""

from __future__ import annotations

import json

import pytest

from ksl.engine import failures
from ksl.errors import FatalError, HookRejected, HookTimeout, InvalidInput, StepFailed, StepInterrupted
from ksl.records import Event, Meta


def step_failed(step: str, *, fatal: bool = False, message: str = "no") -> StepFailed:
    data = {"type": "ValueError", "message": message, "step": step, "attempts": 2, "traceback": ""}
    event = Event("r", 3, "step_failed", step, 0, json.dumps(data).encode(), None, Meta(fatal=fatal))
    return failures.step_failure(event)


def raised(
    error: BaseException, *, cause: BaseException | None = None, during: BaseException | None = None
) -> BaseException:
    error.__cause__ = cause
    error.__context__ = during if cause is None else cause
    return error


def test_a_recorded_failure_comes_back_as_the_same_exception() -> None:
    error = step_failed("charge#0")
    assert (str(error), error.type, error.step_id, error.attempts) == (
        "step charge#0 failed: ValueError: no", "ValueError", "charge#0", 2
    )  # fmt: skip
    interrupted = Event("r", 3, "step_failed", "x#0", 0, b'{"type": "StepInterrupted", "message": "m"}')
    assert isinstance(failures.step_failure(interrupted), StepInterrupted)


def test_what_left_the_body_names_the_steps_that_failed() -> None:
    a, b = step_failed("a#0"), step_failed("b#0")
    assert failures.reopened_steps(a) == ["a#0"]
    assert failures.reopened_steps(raised(RuntimeError("wrapped"), cause=a)) == ["a#0"]
    assert failures.reopened_steps(raised(RuntimeError("while handling"), during=a)) == ["a#0"]
    assert set(failures.reopened_steps(ExceptionGroup("both", [a, b]))) == {"a#0", "b#0"}
    assert failures.reopened_steps(ValueError("own")) == []


def test_a_caught_failure_is_not_reopened_by_a_later_one_raised_in_its_handler() -> None:
    caught = step_failed("caught#0")
    assert failures.reopened_steps(raised(step_failed("undo#0"), during=caught)) == ["undo#0"]


def test_causes_that_go_in_a_circle_end() -> None:
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__cause__, two.__cause__ = two, one
    assert failures.reopened_steps(one) == []


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (ValueError("x"), False),
        (FatalError("x"), True),
        (HookTimeout("x"), True),
        (HookRejected("x"), True),
        (InvalidInput("x"), True),
        (StepInterrupted("x", type="StepInterrupted", step_id="a#0"), True),
        (step_failed("a#0"), False),
        (step_failed("a#0", fatal=True), True),
        (ExceptionGroup("g", [ValueError("x"), step_failed("a#0", fatal=True)]), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_some_failures_forbid_every_retry_of_the_run(error: BaseException, final: bool) -> None:
    assert failures.is_final(error) is final


def test_a_failure_text_with_half_a_surrogate_is_still_written() -> None:
    data = failures.failure_data(ValueError("half \ud800"), step="a#0", attempts=1)
    assert json.loads(failures.encode(data))["message"] == "half \\ud800"
