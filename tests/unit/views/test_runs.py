from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ksl.errors import BadRequest
from ksl.records import Event, EventType, RunFilter, RunRow, RunStatus
from ksl.views.runs import include_of, run_filter, run_row_json

NOW = 1_795_262_400_000

ROW = RunRow(
    run_id="r1",
    workflow="greeting",
    status=RunStatus.SUCCEEDED,
    trigger="api",
    triggered_at_ms=NOW,
    created_at_ms=NOW,
    started_at_ms=NOW + 1,
    finished_at_ms=NOW + 20,
)


def event(seq: int, type_: EventType, data: bytes | None) -> Event:
    return Event("r1", seq, type_, None, NOW, data=data)


CREATED = event(1, "run_created", b'{"name":"Ada"}')


def test_a_run_has_exactly_the_fields_that_are_promised() -> None:
    assert run_row_json(ROW, CREATED, event(4, "run_completed", b'{"message":"Hello, Ada"}')) == {
        "run_id": "r1",
        "workflow": "greeting",
        "status": "succeeded",
        "trigger": "api",
        "triggered_at": "2026-11-21T12:00:00.000Z",
        "started_at": "2026-11-21T12:00:00.001Z",
        "finished_at": "2026-11-21T12:00:00.020Z",
        "attempt": 1,
        "input": {"name": "Ada"},
        "output": {"message": "Hello, Ada"},
        "error": None,
        "subscriber": None,
        "code_version": None,
        "waiting_on": [],
        "retrying": None,
    }


@pytest.mark.parametrize(
    ("status", "last", "has_error"),
    [
        (RunStatus.FAILED, "run_failed", True),
        (RunStatus.HELD, "run_held", True),
        (RunStatus.CANCELLED, "run_cancelled", False),
        (RunStatus.QUEUED, "run_retrying", False),
        (RunStatus.RUNNING, "step_failed", False),
    ],
)
def test_only_a_failed_or_held_run_has_an_error(status: RunStatus, last: EventType, has_error: bool) -> None:
    failure = {"type": "ValueError", "message": "no", "step": "score#0", "attempts": 1}
    row = msgspec.structs.replace(ROW, status=status)
    shown = run_row_json(row, CREATED, event(5, last, msgspec.json.encode(failure)))
    assert shown["error"] == (failure if has_error else None)
    assert shown["output"] is None


def test_what_a_run_waits_on_is_shown_as_it_is_stored() -> None:
    waiting = [{"kind": "sleep", "step": "sleep#0", "due": "2026-11-21T12:00:00.000Z"}]
    row = msgspec.structs.replace(ROW, status=RunStatus.WAITING, waiting_on=msgspec.json.encode(waiting))
    assert run_row_json(row, CREATED, CREATED)["waiting_on"] == waiting


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, RunFilter()),
        ({"workflow": "greeting"}, RunFilter(workflow="greeting")),
        ({"status": "failed"}, RunFilter(statuses=(RunStatus.FAILED,))),
        ({"status": "failed, held"}, RunFilter(statuses=(RunStatus.FAILED, RunStatus.HELD))),
        ({"since": "1h"}, RunFilter(since_ms=NOW - 3_600_000)),
        ({"since": "2026-11-21T11:00:00Z"}, RunFilter(since_ms=NOW - 3_600_000)),
    ],
)
def test_a_filter_reads_what_a_query_or_flags_say(asked: dict[str, Any], wanted: RunFilter) -> None:
    assert run_filter(**asked, now_ms=NOW) == wanted


@pytest.mark.parametrize("asked", [{"status": "done"}, {"since": "yesterday"}])
def test_a_filter_that_cannot_be_read_is_refused_by_its_key(asked: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match=f"^{next(iter(asked))}: "):
        run_filter(**asked, now_ms=NOW)


def test_an_unknown_include_is_refused_and_the_known_ones_are_listed() -> None:
    assert include_of("events, steps") == {"events", "steps"}
    assert include_of(None) == frozenset()
    with pytest.raises(BadRequest, match='no "step" to include; known are events, links, logs, steps, trace'):
        include_of("step")
