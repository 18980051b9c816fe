"""The console's pages of sessions as text, and the stream that keeps one up to date."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chat_server import ChatServer, text
from tests.integration.agents.test_telling import Gate, words
from tests.integration.api.serving import Served, serving
from tests.integration.api.visiting import Visitor, text_in, visiting
from tests.tui.agents_project import CALL, prompted, write

NASTY = '<script>alert(1)</script> \u202eevil\x1b[31m "q" & <b>'


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(write(tmp_path)) as server:
        yield server


@pytest.fixture
async def visitor(served: Served) -> AsyncIterator[Visitor]:
    async with visiting(served) as visitor:
        yield visitor


async def test_sessions_are_listed_with_what_they_used(served: Served, visitor: Visitor) -> None:
    assert "ksl agents prompt careful" in text_in(await visitor.get("sessions"))
    made = await prompted(served)
    await prompted(served, "echo", "Hello")

    shown = text_in(await visitor.get("sessions"))

    assert f"Completed {made['session_id']} support 2 turns, 1,20" in shown
    assert "$0.0123" in shown
    only = text_in(await visitor.get("sessions?agent=echo"))
    assert made["session_id"] not in only
    assert "1 turn, 2 tokens in" in only


async def test_a_transcript_leads_to_its_run_and_shows_calls_with_their_results(
    served: Served, visitor: Visitor
) -> None:
    made = await prompted(served)

    page = await visitor.get(f"sessions/{made['session_id']}")

    shown = text_in(page)
    assert "You Where is A-1001? support Let me look. lookup-order" in shown
    assert '"state": "shipped on Monday"' in shown
    assert "Turn 2: 1,200 tokens in, 300 out, $0.0123" in shown
    assert f'href="../runs/{made["run_id"]}?step=support%230#step"' in page.text
    run = await visitor.get(f"runs/{made['run_id']}?step=support%230")
    assert f'href="../sessions/{made["session_id"]}"' in run.text
    assert "Turns and calls" in text_in(run)
    assert "turn#1" in text_in(run)
    assert "2 turns, 1,20" in text_in(run)


async def test_everything_said_is_escaped_and_turned_round_by_nothing(tmp_path: Path) -> None:
    call = {"text": NASTY, "calls": [{"name": "lookup-order", "args": {"order": NASTY}}]}
    async with serving(write(tmp_path, turns=[call, NASTY])) as served, visiting(served) as visitor:
        made = await prompted(served, message=NASTY)
        page = await visitor.get(f"sessions/{made['session_id']}")
    assert "<script>alert" not in page.text
    assert page.text.count("&lt;script&gt;alert(1)") >= 5
    assert not {"\u202e", "\x1b"} & set(page.text)
    assert "script-src 'self'" in page.headers["content-security-policy"]


async def test_an_agent_is_prompted_from_a_form_and_gone_on_with(served: Served, visitor: Visitor) -> None:
    answer = await visitor.send("sessions", agent="echo", message="Say this.", session="")
    assert answer.status_code == 200
    session_id = answer.url.path.rpartition("/")[2]
    (row,) = (await served.client.get("/runs")).json()["runs"]
    await served.settled(row["run_id"])
    assert text_in(await visitor.get(f"sessions/{session_id}")).count("Say this.") == 2

    again = await visitor.send("sessions", agent="echo", message="And this.", session=session_id)

    assert again.url.path.endswith(session_id)
    for row in (await served.client.get("/runs")).json()["runs"]:
        await served.settled(row["run_id"])
    assert "Prompt 2" in text_in(await visitor.get(f"sessions/{session_id}"))


async def test_a_form_without_proof_or_message_does_nothing(served: Served, visitor: Visitor) -> None:
    assert (await visitor.send("sessions", proof="0" * 64, agent="echo", message="x")).status_code == 403
    assert (await visitor.send("sessions", agent="echo", message=" ")).status_code == 400
    assert (await visitor.send("sessions", agent="nobody", message="x")).status_code == 404
    assert (await served.client.get("/runs")).json()["runs"] == []


async def test_what_is_not_there_is_said(visitor: Visitor) -> None:
    page = await visitor.get("sessions/ses_none")
    assert page.status_code == 404
    assert "KSL810" in page.text


async def test_a_session_that_waits_leads_to_the_run(served: Served, visitor: Visitor) -> None:
    made = await prompted(served, "careful", "Refund it.")
    page = await visitor.get(f"sessions/{made['session_id']}")
    assert "It waits for a person" in text_in(page)
    assert "at work" not in text_in(page)


async def test_a_failed_prompt_says_why(tmp_path: Path) -> None:
    async with serving(write(tmp_path, turns=[CALL])) as served, visiting(served) as visitor:
        made = await prompted(served)
        assert "UnknownModel" in text_in(await visitor.get(f"sessions/{made['session_id']}"))


async def test_the_pages_one_stream_has_the_words_and_then_the_turn(tmp_path: Path) -> None:
    pytest.importorskip("pydantic_ai")
    async with ChatServer([text("It is on its way to you.")]) as model:
        model.pieces, model.between = words, (gate := Gate())
        async with (
            serving(write(tmp_path, settings=model.settings)) as served,
            visiting(served) as visitor,
        ):
            asked = {"message": "Where is it?"}
            made = (await served.client.post("/agents/robot/prompt", json=asked)).json()
            path = f"sessions/{made['session_id']}?run={made['run_id']}"
            said = ""
            gate.open(3)
            async for event, number, data in visitor.live(path):
                if event == "text":
                    assert data["session_id"] == made["session_id"]
                    said = said[: data["offset"]] + data["delta"]
                    if said == "It is on ":
                        shown = text_in(await visitor.get(path))
                        assert "robot It is on" in shown
                        gate.open()
                elif "It is on its way to you." in data.get("sections", {}).get("live_transcript", ""):
                    assert number > 0
                    break
            assert (await served.settled(made["run_id"]))["status"] == "succeeded"
            assert "robot It is on its way to you." in text_in(await visitor.get(path))
