from __future__ import annotations

import json

from ksl.records import Event, EventType, Meta
from ksl.records.model_use import ModelUse
from ksl.views.agent_steps import below, used
from ksl.views.steps import steps_json

USE = ModelUse("local/small", 100, 20, usd=0.001)


def done(seq: int, step: str, callee: str, data: object = None, use: ModelUse | None = None) -> Event:
    meta = Meta(attempt=1, kind="action", callee=callee, model_use=use)
    type: EventType = "step_completed"
    return Event("r1", seq, type, step, seq, json.dumps(data).encode(), b"{}", meta)


HISTORY = [
    done(1, "robot#0/session#0", "agent-session", {"session_id": "ses_1"}),
    done(2, "robot#0/turn#0", "agent-turn", None, USE),
    done(3, "robot#0/other#0/session#0", "agent-session", {"session_id": "ses_2"}),
    done(4, "robot#0/other#0/turn#0", "agent-turn", None, USE),
    done(5, "robot#0/other#0", "other"),
    done(6, "robot#0/look#0", "look"),
    done(7, "robot#0", "robot"),
    done(8, "prompt-llm#0", "prompt-llm", None, USE),
    done(9, "robot#01", "echo"),
]


def test_a_step_is_of_the_nearest_agents_session_and_an_agents_use_is_that_of_all_below() -> None:
    steps = {step["id"]: step for step in steps_json(HISTORY)}
    told: dict[str, tuple[str | None, int | None]] = {
        id: (step["session_id"], step["usage"] and step["usage"]["turns"]) for id, step in steps.items()
    }
    assert told == {
        "robot#0/session#0": ("ses_1", None),
        "robot#0/turn#0": ("ses_1", 1),
        "robot#0/other#0/session#0": ("ses_2", None),
        "robot#0/other#0/turn#0": ("ses_2", 1),
        "robot#0/other#0": ("ses_2", 1),
        "robot#0/look#0": ("ses_1", None),
        "robot#0": ("ses_1", 2),
        "prompt-llm#0": (None, 1),
        "robot#01": (None, None),
    }


def test_turns_and_calls_are_listed_below_their_agent() -> None:
    steps = steps_json(HISTORY)
    by_id = {step["id"]: step for step in steps}
    assert [step["id"] for step in below(steps, by_id["robot#0"])] == [
        "robot#0/turn#0",
        "robot#0/other#0",
        "robot#0/look#0",
    ]
    assert [step["id"] for step in below(steps, by_id["robot#0/other#0"])] == ["robot#0/other#0/turn#0"]
    assert below(steps, by_id["prompt-llm#0"]) == []


def test_what_was_used_is_told_in_words() -> None:
    [*_, llm, _last] = steps_json(HISTORY)
    assert used(llm["usage"]) == "1 turn, 100 tokens in, 20 out, $0.0010"
    assert used(None) == ""


def test_an_agent_at_work_is_a_step_though_it_has_no_event_of_its_own() -> None:
    opened = Event(
        "r1", 1, "step_completed", "robot#0/session#0", 7, b'{"session_id": "ses_1"}', b'{"agent": "robot"}',
        Meta(attempt=1, started_at_ms=5, kind="action", callee="agent-session"),
    )  # fmt: skip
    step = {step["id"]: step for step in steps_json([opened])}["robot#0"]
    assert (step["status"], step["kind"], step["callee"], step["session_id"]) == (
        "running",
        "agent",
        "robot",
        "ses_1",
    )
