from __future__ import annotations

from typing import Any

import pytest

from ksl.views.now_at import now_at, state_of, step_name

NOW = 1_795_262_400_000  # 2026-11-21T12:00:00Z


def run(status: str = "running", **more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"attempt": 1, "waiting_on": [], "retrying": None, "error": None}
    return {"status": status} | plain | more


def retrying(step: str | None, attempt: int | None, attempts: int | None, s: int = 12) -> dict[str, Any]:
    at = f"2026-11-21T12:00:{s:02}Z" if s >= 0 else "2026-11-21T11:59:00Z"
    return {"step": step, "attempt": attempt, "attempts": attempts, "next_attempt_at": at}


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (run(retrying=retrying("score-lead#0", 3, 5)), "score-lead try 3/5 in 12s"),
        (run(retrying=retrying("score-lead#0", 3, None, -1)), "score-lead try 3 due"),
        (run(retrying=retrying("score-lead#0", None, None)), "score-lead try in 12s"),
        (run("queued", retrying=retrying(None, 2, 3)), "attempt 2/3 in 12s"),
        (
            run("waiting", waiting_on=[{"kind": "hook", "step": "hook#0", "due": "2026-11-23T10:30:00Z"}]),
            "hook, 46h left",
        ),
        (run("waiting", waiting_on=[{"kind": "hook", "step": "hook~2#0", "name": "ship"}]), "hook ship"),
        (
            run("sleeping", waiting_on=[{"kind": "sleep", "step": "sleep#3", "due": "2026-11-23T12:00:01Z"}]),
            "sleep#3, 2d left",
        ),
        (
            run("sleeping", waiting_on=[{"kind": "sleep", "step": "sleep#0", "due": "2026-11-21T12:00:00Z"}]),
            "sleep, due",
        ),
        (
            run(
                "sleeping",
                retrying=retrying("fetch#0", 2, 3),
                waiting_on=[{"kind": "retry", "step": "fetch#0", "due": "2026-11-21T12:00:12Z"}],
            ),
            "fetch try 2/3 in 12s",
        ),
        (run(at_hand=[{"step": "a#0", "attempt": 1}, {"step": "b#1", "attempt": 2}]), "a, b#1 try 2"),
        (run(attempt=2), "attempt 2"),
        (run("succeeded", attempt=2), ""),
        (
            run("failed", error={"type": "Carrier", "message": "503", "step": "ship-order#0"}),
            "ship-order Carrier: 503",
        ),
        (run("held", error={"type": "", "message": "paused by Ada", "step": None}), "paused by Ada"),
    ],
)
def test_where_a_run_stands_in_a_few_words(shown: dict[str, Any], text: str) -> None:
    assert now_at(shown, NOW) == text


def test_a_run_that_backs_off_is_shown_as_retrying_whatever_its_status() -> None:
    assert state_of(run("sleeping", retrying=retrying("a#0", 2, 3))) == "retrying"
    assert state_of(run("sleeping")) == "sleeping"


def test_the_count_of_a_site_reached_once_is_left_out() -> None:
    assert step_name("step:enrich-lead#0/score#0") == "enrich-lead/score"
    assert step_name("a[1.0]#10") == "a[1.0]#10"
    assert step_name(None) == ""
