from __future__ import annotations

from ksl.records import Event, Meta, RunRow, RunStatus
from ksl.records.model_use import ModelUse
from ksl.views.spans import spans_json

ROW = RunRow("r1", "lead", RunStatus.RUNNING, "api", 0, 0, started_at_ms=1000)


def test_a_span_lies_in_the_step_that_its_id_lies_in() -> None:
    events = [
        Event("r1", 1, "step_completed", "enrich#0/score#0", 2000, meta=Meta(attempt=1, started_at_ms=1500)),
        Event("r1", 2, "step_completed", "enrich#0", 2500, meta=Meta(kind="workflow", started_at_ms=1400)),
    ]
    spans = [(span["id"], span["parent"], span["name"], span["kind"]) for span in spans_json(ROW, events)]
    assert spans == [
        ("", None, "lead", "run"),
        ("enrich#0/score#0", "enrich#0", "score#0", "action"),
        ("enrich#0", "", "enrich#0", "workflow"),
    ]


def test_a_run_under_way_has_no_end_yet() -> None:
    [run] = spans_json(ROW, [])
    assert (run["started_at"], run["finished_at"]) == ("1970-01-01T00:00:01.000Z", None)


def test_attempts_have_spans_of_their_own_where_there_was_more_than_one() -> None:
    first = Meta(attempt=1, started_at_ms=1000, finished_at_ms=1100)
    second = Meta(attempt=2, started_at_ms=2000, finished_at_ms=2100)
    events = [
        Event("r1", 1, "step_retrying", "score#0", 1100, meta=first),
        Event("r1", 2, "step_completed", "score#0", 2100, meta=second),
    ]
    attempts = [span for span in spans_json(ROW, events) if span["kind"] == "attempt"]
    assert [(span["id"], span["parent"], span["status"]) for span in attempts] == [
        ("score#0@1", "score#0", "failed"),
        ("score#0@2", "score#0", "succeeded"),
    ]
    assert [span["finished_at"] for span in attempts] == [
        "1970-01-01T00:00:01.100Z",
        "1970-01-01T00:00:02.100Z",
    ]


def test_what_models_used_is_told_of_each_span_and_of_those_it_lies_in() -> None:
    def used(turns: int, tokens: int) -> Meta:
        use = ModelUse(model="v/m", turns=turns, input_tokens=tokens, output_tokens=1, usd=0.5)
        return Meta(attempt=turns, started_at_ms=1, finished_at_ms=2, kind="action", model_use=use)

    events = [
        Event("r1", 1, "step_completed", "support#0/agent-turn#0", 2, meta=used(1, 10)),
        Event("r1", 2, "step_completed", "support#0/agent-turn#1", 2, meta=used(1, 30)),
        Event("r1", 3, "step_completed", "support#0", 3, meta=Meta(attempt=1, kind="agent")),
        Event("r1", 4, "step_completed", "other#0", 4, meta=Meta(attempt=1)),
    ]
    told = {span["id"]: span["model_use"] for span in spans_json(ROW, events)}
    turns = {id: use and (use["turns"], use["input_tokens"], use["usd"]) for id, use in told.items()}
    assert turns == {
        "": (2, 40, 1.0),
        "support#0": (2, 40, 1.0),
        "support#0/agent-turn#0": (1, 10, 0.5),
        "support#0/agent-turn#1": (1, 30, 0.5),
        "other#0": None,
    }
