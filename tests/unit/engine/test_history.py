"""Events sorted for replay: what a later attempt of a run is given, and what it must do again."""

from __future__ import annotations

import json
from typing import Any

from ksl.engine.history import read_history
from ksl.records import Event, EventType, Meta


def history(*rows: tuple[EventType, str | None, Meta | None, Any]) -> Any:
    return read_history(
        [
            Event(
                "r",
                seq,
                type,
                step,
                1000 + seq,
                None if data is None else json.dumps(data).encode(),
                None,
                meta,
            )
            for seq, (type, step, meta, data) in enumerate(rows, start=1)
        ]
    )


CREATED = ("run_created", None, None, None)
STARTED = ("run_started", None, Meta(attempt=1), None)


def done(step: str, after: int = 2) -> Any:
    return ("step_completed", step, Meta(attempt=1, after=after), 1)


def failed(step: str, after: int = 2, attempt: int = 1) -> Any:
    return ("step_failed", step, Meta(attempt=attempt, after=after), {"message": "no"})


def retrying(*steps: str, attempt: int = 2) -> Any:
    return ("run_retrying", None, Meta(attempt=attempt), {"reopened": steps})


def test_a_first_attempt_is_replayed_in_its_order() -> None:
    read = history(CREATED, STARTED, done("a#0"), failed("b#0", 3))
    assert [event.seq for event in read.current if event.type != "run_created"] == [2, 3, 4]
    assert read.pool == {}
    assert (read.attempt, read.started_at_ms, read.started_seq) == (1, 1002, 2)


def test_a_retry_pools_what_was_recorded_but_for_what_it_reopens() -> None:
    read = history(
        CREATED, STARTED, done("a#0"), failed("caught#0", 3), failed("top#0", 4, attempt=3), retrying("top#0")
    )
    assert set(read.pool) == {"a#0", "caught#0"}
    assert read.reopened_at == {"top#0": 3}
    assert read.attempts["top#0"] == 3
    assert read.attempt == 2
    assert read.current == []


def test_what_came_after_a_reopened_failure_need_not_be_asked_for_as_it_was() -> None:
    read = history(CREATED, STARTED, done("a#0"), failed("top#0", 3), done("undo#0", 4), retrying("top#0"))
    assert read.is_strict(read.pool["a#0"])
    assert not read.is_strict(read.pool["undo#0"])


def test_a_sleep_under_way_is_the_runs_and_a_timer_the_attempts() -> None:
    due = {"due": "2025-01-01T00:00:00.000Z"}
    read = history(
        CREATED, STARTED,
        ("sleep_started", "sleep#0", Meta(after=2), due), ("timer_started", "timer#0", Meta(after=2), due),
        ("hook_created", "hook#0", Meta(after=2), {}), ("timer_started", "run-timeout#0", None, due), retrying(),
    )  # fmt: skip
    assert set(read.begun) == {"sleep#0", "hook#0", "run-timeout#0"}


def test_open_ends_are_backoffs_without_outcome_and_starts_without_outcome() -> None:
    read = history(
        CREATED, STARTED,
        ("step_retrying", "a#0", Meta(attempt=1), {}), ("step_retrying", "b#0", Meta(attempt=1), {}), done("b#0"),
        ("step_started", "c#0", Meta(attempt=1), None), ("step_started", "d#0", Meta(attempt=1), None), failed("d#0"),
    )  # fmt: skip
    assert set(read.retrying) == {"a#0"}
    assert set(read.interrupted) == {"c#0"}
