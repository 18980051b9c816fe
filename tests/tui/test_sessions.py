"""Conversations of agents: listed, read, followed word by word, gone on with."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import TextArea

from ksl.tui.app import KslApp
from ksl.tui.client import Door
from ksl.tui.dialogs import Choose, Fill, View
from ksl.tui.hooks import HooksScreen
from ksl.tui.inspector import Inspected
from ksl.tui.lines import Lines
from ksl.tui.run import RunScreen
from ksl.tui.session import SessionScreen
from ksl.tui.sessions import SessionsScreen

from tests.chat_server import ChatServer, text
from tests.integration.agents.test_telling import Gate, words
from tests.integration.api.serving import Served, serving
from tests.tui.agents_project import CALL, prompted, write
from tests.tui.app import SIZES, OneDoor, shown, text_of, until
from tests.tui.project import write as write_shop
from tests.tui.test_safety import NASTY, is_fit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path)


async def listed(app: KslApp, pilot: Pilot[None]) -> SessionsScreen:
    await pilot.press("6")
    await until(pilot, lambda: isinstance(app.screen, SessionsScreen) and app.screen.loaded)
    assert isinstance(app.screen, SessionsScreen)
    return app.screen


async def opened(app: KslApp, pilot: Pilot[None]) -> SessionScreen:
    await listed(app, pilot)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, SessionScreen) and app.screen.session)
    assert isinstance(app.screen, SessionScreen)
    return app.screen


@pytest.mark.parametrize("size", SIZES)
async def test_without_sessions_it_tells_how_to_begin_one(served: Served, size: tuple[int, int]) -> None:
    async with shown(served, size) as (app, pilot):
        await listed(app, pilot)
        assert "ksl agents prompt careful --message" in text_of(app)


@pytest.mark.parametrize("size", SIZES)
async def test_without_agents_it_says_where_they_belong(tmp_path: Path, size: tuple[int, int]) -> None:
    async with serving(write_shop(tmp_path)) as served, shown(served, size) as (app, pilot):
        await listed(app, pilot)
        assert "no agents: they belong in the folder agents/" in text_of(app)


@pytest.mark.parametrize("size", SIZES)
async def test_a_session_is_listed_with_its_state_and_what_it_used(
    served: Served, size: tuple[int, int]
) -> None:
    made = await prompted(served)
    async with shown(served, size) as (app, pilot):
        await listed(app, pilot)
        (line,) = [line for line in text_of(app).splitlines() if made["session_id"][:12] in line]
        assert all(word in line for word in ("support", "completed", "2", "1,5"))
        assert ("$0.0123" in line) == (size[0] >= 100)


@pytest.mark.parametrize("size", SIZES)
async def test_a_transcript_has_messages_folded_calls_and_what_each_turn_used(
    served: Served, size: tuple[int, int]
) -> None:
    await prompted(served)
    async with shown(served, size) as (app, pilot):
        screen = await opened(app, pilot)
        seen = text_of(app)
        assert line_of("you", "Where is A-1001?") in seen
        assert line_of("support", "Let me look.") in seen
        assert "▸ lookup-order" in seen
        assert "1,200 tokens in, 300 out, $0.0123" in seen
        call = next(key for key in screen.query_one(Lines).keys if key and "▸" in _line(screen, key))
        screen.query_one(Lines).select(call)
        await pilot.press("enter")
        await until(pilot, lambda: "▾ lookup-order" in text_of(app))
        assert '"state": "shipped on Monday"' in text_of(app)
        await pilot.press("enter")
        await until(pilot, lambda: "▸ lookup-order" in text_of(app))


def line_of(who: str, said: str) -> str:
    return f" {who:<11}{said}"


def _line(screen: SessionScreen, key: str) -> str:
    lines = screen.query_one(Lines)
    return lines.paint(list(lines.keys).index(key))


async def written(app: KslApp, pilot: Pilot[None], message: str) -> None:
    await until(pilot, lambda: isinstance(app.screen, Fill) and isinstance(app.focused, TextArea))
    assert isinstance(app.focused, TextArea)
    app.focused.text = message
    await pilot.press("ctrl+s")


async def test_n_asks_which_agent_and_what_and_shows_the_new_session(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await listed(app, pilot)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, Choose))
        await pilot.press("G", "enter")
        await written(app, pilot, "Where is A-1001?")
        await until(
            pilot, lambda: isinstance(app.screen, SessionScreen) and "shipped on Monday." in text_of(app)
        )
        assert len((await served.client.get("/sessions")).json()["sessions"]) == 1


async def test_p_goes_on_with_a_session(served: Served) -> None:
    made = await prompted(served)
    async with shown(served) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("p")
        await written(app, pilot, "And now?")
        await until(pilot, lambda: screen.session and len(screen.session["prompts"]) == 2)
        await until(pilot, lambda: "And now?" in text_of(app))
        (row,) = (await served.client.get("/sessions")).json()["sessions"]
        assert (row["session_id"], row["prompts"]) == (made["session_id"], 2)


async def test_r_leads_to_the_run_and_back(served: Served) -> None:
    made = await prompted(served)
    async with shown(served) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == made["run_id"])
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, SessionScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, SessionsScreen))


async def test_a_session_that_waits_says_so_and_leads_to_the_question(served: Served) -> None:
    made = await prompted(served, "careful", "Refund it.")
    async with shown(served) as (app, pilot):
        await opened(app, pilot)
        await until(pilot, lambda: "waits for a person" in text_of(app))
        await pilot.press("a")
        await until(
            pilot,
            lambda: (
                isinstance(app.screen, HooksScreen)
                and (app.screen.shown or {}).get("run_id") == made["run_id"]
            ),
        )


async def test_a_failed_prompt_tells_why(folder: Path) -> None:
    write(folder, turns=[CALL])
    async with serving(folder) as served:
        await prompted(served)
        async with shown(served) as (app, pilot):
            await opened(app, pilot)
            await until(pilot, lambda: "UnknownModel" in text_of(app))


@pytest.mark.parametrize("size", SIZES)
async def test_words_are_shown_while_they_are_said(tmp_path: Path, size: tuple[int, int]) -> None:
    pytest.importorskip("pydantic_ai")
    async with ChatServer([text("It is on its way to you.")]) as model:
        model.pieces, model.between = words, (gate := Gate())
        write(tmp_path, settings=model.settings)
        async with serving(tmp_path) as served, shown(served, size) as (app, pilot):
            await listed(app, pilot)
            answer = await served.client.post("/agents/robot/prompt", json={"message": "Where is it?"})
            screen = app.screen
            await until(pilot, lambda: isinstance(screen, SessionsScreen) and screen.sessions)
            await pilot.press("enter")
            gate.open(3)
            await until(pilot, lambda: line_of("robot", "It is on ▌") in text_of(app))
            assert "following" in text_of(app)
            gate.open()
            await until(pilot, lambda: line_of("robot", "It is on its way to you.") in text_of(app))
            await until(pilot, lambda: "▌" not in text_of(app))
            assert (await served.settled(answer.json()["run_id"]))["status"] == "succeeded"
            await until(pilot, lambda: "completed" in text_of(app))


async def test_a_turn_that_broke_off_begins_anew(tmp_path: Path) -> None:
    pytest.importorskip("pydantic_ai")
    async with ChatServer([text("It is on its way to you.")]) as model:
        model.pieces, model.between = words, (gate := Gate())
        gate.cuts_at = [2]
        write(tmp_path, settings=model.settings)
        async with serving(tmp_path) as served, shown(served) as (app, pilot):
            await listed(app, pilot)
            await served.client.post("/agents/robot/prompt", json={"message": "Where is it?"})
            screen = app.screen
            await until(pilot, lambda: isinstance(screen, SessionsScreen) and screen.sessions)
            await pilot.press("enter")
            gate.open(2)
            await until(pilot, lambda: "It is ▌" in text_of(app))
            gate.open(2)
            await until(pilot, lambda: "attempt 2 at this turn" in text_of(app) and "It ▌" in text_of(app))
            gate.open()
            await until(pilot, lambda: "It is on its way to you." in text_of(app) and "▌" not in text_of(app))


async def test_what_is_said_is_shown_as_it_is_written(folder: Path) -> None:
    calls = [{"name": "lookup-order", "args": {"order": said}} for said in NASTY]
    write(folder, turns=[{"text": "\n".join(NASTY), "calls": calls}, "\n".join(NASTY)])
    async with serving(folder) as served:
        await prompted(served, message=" ".join(NASTY))
        async with shown(served) as (app, pilot):
            screen = await opened(app, pilot)
            folded = [key for key in screen.query_one(Lines).keys if key and "▸" in _line(screen, key)]
            assert len(folded) == len(NASTY)
            for key in folded:
                screen.query_one(Lines).select(key)
                await pilot.press("enter")
            await until(pilot, lambda: "▸" not in text_of(app))
            assert all(is_fit(_line(screen, key)) for key in screen.query_one(Lines).keys if key)
            assert is_fit(text_of(app))
            await pilot.press("home")
            await until(pilot, lambda: NASTY[0][:40] in text_of(app))


async def test_a_long_text_is_cut_and_whole_behind_a_key(folder: Path) -> None:
    write(folder, turns=["\n".join(f"line {number}" for number in range(300)) + "x" * 100_000])
    async with serving(folder) as served:
        await prompted(served)
        async with shown(served) as (app, pilot):
            await opened(app, pilot)
            await until(pilot, lambda: "it goes on: enter shows all of it" in text_of(app))
            assert "line 40" not in text_of(app)
            await pilot.press("k", "k", "enter")
            await until(pilot, lambda: isinstance(app.screen, View))
            assert app.screen.shown[299].startswith("line 299")  # type: ignore[union-attr]


async def test_a_thousand_sessions_are_there_by_pages(served: Served) -> None:
    for _ in range(10):
        for _ in range(100):
            await served.client.post("/agents/echo/prompt", json={"message": "x"})
    while len((await served.client.get("/sessions?limit=1000")).json()["sessions"]) < 1000:
        pass
    async with shown(served) as (app, pilot):
        screen = await listed(app, pilot)
        assert len(screen.sessions) == 200
        for pages in range(2, 6):
            await pilot.press("G")
            await until(pilot, lambda pages=pages: len(screen.sessions) == 200 * pages)
        assert len({each["session_id"] for each in screen.sessions}) == 1000
        await pilot.press("g")
        assert screen.query_one(Lines).place == 0


async def test_what_retention_deletes_says_so(served: Served) -> None:
    await prompted(served)
    async with shown(served) as (app, pilot):
        await opened(app, pilot)
        await served.client.post("/prune", json={"older_than": 0})
        app.screen.reload()  # type: ignore[attr-defined]
        await until(pilot, lambda: "was removed by retention" in text_of(app))


async def test_ascii_draws_a_transcript_with_ascii_alone(served: Served) -> None:
    await prompted(served)
    async with shown(served, ascii=True) as (app, pilot):
        await opened(app, pilot)
        assert text_of(app).isascii()


async def test_a_tiny_terminal_has_the_conversation(served: Served) -> None:
    await prompted(served)
    async with shown(served, (50, 12)) as (app, pilot):
        await opened(app, pilot)
        assert "It was shipped on Monday." in text_of(app)


async def test_a_run_tells_what_its_agent_used_and_leads_to_the_session(served: Served) -> None:
    made = await prompted(served)
    async with shown(served) as (app, pilot):
        app.open_run(made["run_id"])
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
        assert isinstance(app.screen, RunScreen)
        run = app.screen.run_json
        assert run is not None
        assert "2 turns, 1,20" in Inspected(run, [], "support#0").about
        assert "1,200 tokens in" in Inspected(run, [], "support#0/turn#1").about
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, SessionScreen) and app.screen.session)
        assert "Where is A-1001?" in text_of(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))


async def test_a_transcript_stays_while_the_server_is_gone_and_goes_on_when_it_is_back(folder: Path) -> None:
    async with AsyncExitStack() as serves:
        first = await serves.enter_async_context(serving(folder))
        made = await prompted(first)
        doors = OneDoor(Door(first.url, first.runtime.token))
        app = KslApp(doors)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.link.state == "live")
            screen = await opened(app, pilot)
            await serves.aclose()
            await until(pilot, lambda: app.link.state == "lost")
            assert "It was shipped on Monday." in text_of(app)
            second = await serves.enter_async_context(serving(folder))
            doors.door = Door(second.url, second.runtime.token)
            await until(pilot, lambda: app.link.state == "live", turns=6_000)
            await prompted(second, message="And now?", session=made["session_id"])
            await until(pilot, lambda: "And now?" in text_of(app))
            assert screen.session is not None
            assert len(screen.session["prompts"]) == 2
