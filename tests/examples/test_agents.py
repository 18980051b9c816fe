"""The examples with models, on the scripts that play them by default."""

from __future__ import annotations

from pathlib import Path

from tests.examples.engine import engine_on


async def test_a_joke_is_told_and_sorted(tmp_path: Path) -> None:
    async with engine_on(tmp_path) as engine:
        run = await engine.run("joke", "workflows")  # pyright: ignore[reportArgumentType]  # its input is a text

    assert run["output"] == {
        "text": "Why do workflows never get lost? They keep a history.",
        "said_of_it": "a pun on workflows",
    }


async def test_a_customer_is_answered_once_a_person_allows_the_money(tmp_path: Path) -> None:
    letter = {"sender": "ada@example.org", "text": "The mug of A-1001 is broken. I want my money back."}
    async with engine_on(tmp_path) as engine:
        waiting = await engine.run("answer-customer", letter)
        assert waiting["status"] == "waiting"
        assert [each["step"] for each in waiting["waiting_on"]] == ["support#0/approve-return-money#0"]

        run = await engine.answer(waiting["run_id"], {"approved": True})

    assert run["output"]["to"] == "ada@example.org"
    assert "label-a-1001" in run["output"]["text"]


async def test_a_refusal_is_for_the_agent_to_deal_with(tmp_path: Path) -> None:
    letter = {"sender": "ada@example.org", "text": "I want my money back."}
    async with engine_on(tmp_path) as engine:
        waiting = await engine.run("answer-customer", letter)

        run = await engine.answer(waiting["run_id"], {"approved": False, "reason": "not without the mug"})

    assert run["status"] == "succeeded"
    events = [event for event in run["events"] if event["step"] == "step:support#0/turn#2"]
    returned = events[0]["input"]["new"][1]["content"]
    assert returned == "Error: a person refused this call: not without the mug"
