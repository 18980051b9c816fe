from __future__ import annotations

from typing import Any

import pytest

from ksl.records import Event, EventType, Meta
from ksl.records.under_way import UnderWay
from ksl.views.steps import steps_json


def history(*rows: tuple[EventType, str | None, bytes | None, Meta | None]) -> list[Event]:
    return [
        Event("r1", seq, type_, step, seq * 1000, data=data, meta=meta)
        for seq, (type_, step, data, meta) in enumerate(rows, start=1)
    ]


def test_a_step_that_failed_once_and_then_succeeded_has_two_attempts_and_no_error() -> None:
    events = history(
        ("run_created", None, b"null", None),
        (
            "step_retrying",
            "score#0",
            b'{"type":"OSError","message":"no"}',
            Meta(attempt=1, started_at_ms=1500),
        ),
        ("step_completed", "score#0", b"7", Meta(attempt=2, started_at_ms=2500, finished_at_ms=2900)),
    )
    assert steps_json(events) == [
        {
            "id": "score#0",
            "kind": "action",
            "callee": None,
            "status": "succeeded",
            "attempts": 2,
            "attempts_max": None,
            "due": None,
            "by": None,
            "started_at": "1970-01-01T00:00:01.500Z",
            "finished_at": "1970-01-01T00:00:02.900Z",
            "input": None,
            "output": 7,
            "error": None,
            "session_id": None,
            "usage": None,
        }
    ]


@pytest.mark.parametrize(
    ("rows", "kind", "status"),
    [
        ([("step_started", "pay#0")], "action", "running"),
        ([("step_retrying", "pay#0")], "action", "retrying"),
        ([("step_failed", "pay#0")], "action", "failed"),
        ([("step_cancelled", "pay#0")], "action", "cancelled"),
        ([("sleep_started", "sleep#0")], "sleep", "sleeping"),
        ([("sleep_started", "sleep#0"), ("sleep_completed", "sleep#0")], "sleep", "succeeded"),
        ([("hook_created", "hook#0")], "hook", "waiting"),
        ([("hook_created", "hook#0"), ("hook_resumed", "hook#0")], "hook", "succeeded"),
        ([("hook_created", "hook#0"), ("hook_rejected", "hook#0")], "hook", "failed"),
        ([("hook_created", "hook#0"), ("hook_expired", "hook#0")], "hook", "failed"),
    ],
)
def test_the_newest_event_of_a_step_gives_its_status(
    rows: list[tuple[EventType, str]], kind: str, status: str
) -> None:
    events = [Event("r1", seq, type_, step, seq) for seq, (type_, step) in enumerate(rows, start=1)]
    [step] = steps_json(events)
    assert (step["kind"], step["status"]) == (kind, status)


def test_the_bodys_own_timers_are_no_steps() -> None:
    events = history(("timer_started", "timer#0", None, None), ("timer_fired", "timer#0", None, None))
    assert steps_json(events) == []


def test_what_a_step_waits_for_is_told_as_long_as_it_waits() -> None:
    events = history(
        (
            "step_retrying",
            "pay#0",
            b'{"type":"OSError","next_attempt_at":"2026-01-01T00:00:09.000Z"}',
            Meta(attempt=1, attempts_max=5),
        ),
        ("sleep_started", "sleep#0", b'{"due":"2026-01-02T00:00:00.000Z"}', None),
        ("hook_created", "hook#0", b'{"expires_at":null}', None),
    )
    assert [(step["due"], step["attempts_max"]) for step in steps_json(events)] == [
        ("2026-01-01T00:00:09.000Z", 5),
        ("2026-01-02T00:00:00.000Z", None),
        (None, None),
    ]
    [running, *_] = steps_json(events, {"pay#0": UnderWay("running", "action", "pay", 2, 1, None)})
    assert running["due"] is None
    over = [*events, Event("r1", 9, "sleep_completed", "sleep#0", 9000)]
    assert steps_json(over)[1]["due"] is None


def test_a_step_that_a_retry_of_the_run_reopens_is_no_longer_failed() -> None:
    events = history(
        ("step_failed", "pay#0", b'{"type":"OSError"}', Meta(attempt=1)),
        ("run_retrying", None, b'{"reopened":["pay#0"]}', None),
    )
    [step] = steps_json(events)
    assert shown(step) == ("reopened", 1, None, None)


def test_a_sleep_that_waits_has_no_end_yet() -> None:
    [step] = steps_json(history(("sleep_started", "sleep#0", b'{"due":"2026-11-21T12:00:00.000Z"}', None)))
    assert shown(step) == ("sleeping", 0, None, None)


def shown(step: dict[str, Any]) -> tuple[object, ...]:
    return step["status"], step["attempts"], step["finished_at"], step["error"]


def test_steps_in_flight_are_shown_with_what_their_process_knows() -> None:
    events = [
        Event("r", 1, "step_retrying", "a#0", 1000, b'{"type": "OSError"}', b"{}", Meta(attempt=1)),
        Event("r", 2, "sleep_started", "sleep#0", 2000, b'{"due": "1970-01-01T00:01:00.000Z"}'),
        Event("r", 3, "step_completed", "b#0", 3000, b"1", None, Meta(attempt=1)),
    ]
    now = {
        "a#0": UnderWay("running", "action", "a", 2, 4000, b"{}"),
        "sleep#0": UnderWay("asleep", "sleep", "sleep", 0, None, None),
        "c#0": UnderWay("in line", "action", "c", 1, None, b'{"v": 1}'),
    }
    shown = {step["id"]: step for step in steps_json(events, now)}
    assert list(shown) == ["a#0", "sleep#0", "b#0", "c#0"]
    assert (shown["a#0"]["status"], shown["a#0"]["attempts"], shown["a#0"]["error"]) == ("running", 2, None)
    assert (shown["sleep#0"]["status"], shown["b#0"]["status"]) == ("sleeping", "succeeded")
    assert (shown["c#0"]["status"], shown["c#0"]["callee"], shown["c#0"]["input"]) == (
        "running",
        "c",
        {"v": 1},
    )


def test_a_step_with_steps_inside_began_with_the_first_of_them() -> None:
    events = history(
        ("run_created", None, b"null", None),
        ("step_completed", "outer#0/inner#0/a#0", b"1", Meta(started_at_ms=1500, finished_at_ms=1600)),
        ("step_completed", "outer#0/b#0", b"1", Meta(started_at_ms=2500, finished_at_ms=2600)),
    )
    going = {
        id: UnderWay("running", "workflow", "inside", 1, None, b"{}") for id in ("outer#0", "outer#0/inner#0")
    }
    told = {step["id"]: step for step in steps_json(events, going)}
    assert (
        told["outer#0"]["started_at"] == told["outer#0/inner#0"]["started_at"] == "1970-01-01T00:00:01.500Z"
    )
    assert told["outer#0"]["finished_at"] is None


def test_an_agent_at_work_is_one_also_where_the_process_that_runs_it_tells_of_it() -> None:
    opened = Meta(callee="agent-session", started_at_ms=1500, finished_at_ms=1600)
    events = [
        *history(("run_created", None, b"null", None)),
        Event(
            "r1",
            2,
            "step_completed",
            "support#0/session#0",
            2000,
            data=b'{"session_id":"ses_1"}',
            input=b'{"agent":"support"}',
            meta=opened,
        ),
    ]
    going = {"support#0": UnderWay("running", "workflow", "support", 1, None, b"{}")}
    for told in (steps_json(events), steps_json(events, going)):
        [agent] = [step for step in told if step["id"] == "support#0"]
        assert (agent["kind"], agent["callee"], agent["session_id"]) == ("agent", "support", "ses_1")
        assert agent["started_at"] == "1970-01-01T00:00:01.500Z"
