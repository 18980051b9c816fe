from __future__ import annotations

from ksl.records import Event, Meta
from ksl.views.events import event_json

AT = 1_795_262_400_000


def test_an_event_without_a_step_has_null_there_and_no_input_or_meta() -> None:
    event = Event("r1", 1, "run_created", None, AT, data=b'{"name":"Ada"}')
    assert event_json(event) == {
        "seq": 1,
        "type": "run_created",
        "step": None,
        "at": "2026-11-21T12:00:00.000Z",
        "data": {"name": "Ada"},
    }


def test_a_step_is_shown_with_its_prefix_its_input_and_what_is_known_about_it() -> None:
    meta = Meta(attempt=2, started_at_ms=AT - 1500, finished_at_ms=AT, after=3, kind="action", callee="score")
    event = Event("r1", 5, "step_completed", "score#0", AT, data=b"0.5", input=b'{"id":7}', meta=meta)
    assert event_json(event) == {
        "seq": 5,
        "type": "step_completed",
        "step": "step:score#0",
        "at": "2026-11-21T12:00:00.000Z",
        "data": 0.5,
        "input": {"id": 7},
        "meta": {
            "attempt": 2,
            "started_at": "2026-11-21T11:59:58.500Z",
            "finished_at": "2026-11-21T12:00:00.000Z",
            "after": 3,
            "kind": "action",
            "callee": "score",
        },
    }


def test_an_input_of_null_is_shown_and_no_data_reads_as_null() -> None:
    shown = event_json(Event("r1", 2, "step_completed", "score#0", AT, input=b"null", meta=Meta()))
    assert shown["input"] is None
    assert shown["data"] is None
    assert "meta" not in shown
