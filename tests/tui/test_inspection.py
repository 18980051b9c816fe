"""Lines of what is inspected, without a screen."""

from __future__ import annotations

from typing import Any

from ksl.tui.error_lines import error_lines
from ksl.tui.inspection import attempt_lines, span_lines
from ksl.tui.words import NICE


def span(id: str, parent: str | None, kind: str, use: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": id,
        "parent": parent,
        "name": id.rpartition("/")[2] or "flow",
        "kind": kind,
        "status": "succeeded",
        "started_at": "2026-01-01T00:00:00.000Z",
        "finished_at": "2026-01-01T00:00:01.500Z",
        "model_use": use,
    }


def test_the_turns_of_an_agent_stand_below_it_with_what_they_used() -> None:
    use = {"model": "v/m", "turns": 1, "input_tokens": 1204, "output_tokens": 96, "usd": 0.0123}
    spans = [
        span("", None, "run", use),
        span("support#0", "", "agent", use | {"turns": 2}),
        span("support#0/agent-turn#0", "support#0", "action", use),
        span("other#0", "", "action", None),
    ]
    lines = [line.plain for line in span_lines(spans, "support#0", NICE)]
    assert [line.split()[1] for line in lines] == ["support#0", "agent-turn#0"]
    assert lines[0].endswith("agent  2 turns, 1,204 tokens in, 96 out, $0.0123, v/m")
    assert lines[1].endswith("action  1,204 tokens in, 96 out, $0.0123, v/m")
    assert len([*span_lines(spans, "", NICE)]) == 4


def test_each_attempt_has_its_line_and_a_failed_one_its_error() -> None:
    def event(kind: str, attempt: int, data: object) -> dict[str, Any]:
        times = {"started_at": "2026-01-01T00:00:00.000Z", "finished_at": "2026-01-01T00:00:00.250Z"}
        meta = {"attempt": attempt, **times}
        return {"type": kind, "step": "step:ship#0", "at": times["finished_at"], "data": data, "meta": meta}

    events = [
        event("step_retrying", 1, {"type": "Busy", "message": "later"}),
        event("step_completed", 2, "ok"),
    ]
    assert [line.plain for line in attempt_lines(events, "ship#0", NICE)] == [
        "✗ try 1  250ms   00:00:00.000",
        "    Busy: later",
        "✓ try 2  250ms   00:00:00.000",
    ]
    assert [line.plain for line in attempt_lines(events, "", NICE)] == ["Choose a step to see its attempts."]


def test_a_long_message_leaves_room_for_where_it_was_raised() -> None:
    traceback = (
        'Traceback (most recent call last):\n  File "actions/a.py", line 7, in pay\n    raise Oops(text)\n'
    )
    error = {"type": "Oops", "message": "x " * 200_000 + "\nsecond", "traceback": traceback}
    lines = [line.plain for line in error_lines(error)]
    assert sum(map(len, lines)) < 1_000
    assert lines[0].startswith("Oops: x x")
    assert lines[0].endswith("…")
    assert lines[1] == "  second"
    assert any("actions/a.py:7 in pay" in line for line in lines)
