from __future__ import annotations

from typing import Any

from ksl.views.forking import run_again


def event(seq: int, type: str, step: str | None = None) -> dict[str, Any]:
    return {"seq": seq, "type": type, "step": step and f"step:{step}"}


EVENTS = [
    event(1, "run_created"),
    event(2, "run_started"),
    event(3, "step_completed", "a#0"),
    event(4, "sleep_started", "sleep#0"),
    event(5, "step_retrying", "b#0"),
    event(6, "timer_started", "timer#0"),
    event(7, "step_completed", "c#0"),
    event(8, "sleep_completed", "sleep#0"),
    event(9, "step_failed", "b#0"),
    event(10, "step_completed", "in#0/d#0"),
    event(11, "step_completed", "in#0"),
    event(12, "run_completed"),
]


def test_what_has_no_outcome_before_the_step_runs_again_and_nothing_else() -> None:
    assert run_again(EVENTS, "a#0") == ["a#0", "sleep#0", "b#0", "c#0", "in#0/d#0", "in#0"]
    # what was begun before it and ended after it: its end is not kept
    assert run_again(EVENTS, "c#0") == ["sleep#0", "b#0", "c#0", "in#0/d#0", "in#0"]


def test_a_sub_workflow_runs_again_with_its_insides() -> None:
    assert run_again(EVENTS, "in#0") == ["in#0/d#0", "in#0"]


def test_of_a_step_that_is_not_recorded_nothing_is_told() -> None:
    assert run_again(EVENTS, "z#0") == []
