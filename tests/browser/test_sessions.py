"""The console's pages of sessions in a real browser: words while they are said, and axe-core's rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser.chromium import Browser
from tests.browser.entering import enter
from tests.browser.test_accessibility import AXE, complaints
from tests.chat_server import ChatServer, text
from tests.integration.agents.test_telling import Gate, words
from tests.integration.api.serving import Served, serving
from tests.tui.agents_project import prompted, write

pytest.importorskip("pydantic_ai")
pytestmark = pytest.mark.slow
SAID = "document.getElementById('saying').innerText"
RECORDED = "document.querySelector('[data-section=live_transcript]').innerText"


@pytest.fixture
async def model() -> AsyncIterator[ChatServer]:
    async with ChatServer([text("It is on its way <b>to</b> you.")]) as model:
        model.pieces, model.between = words, Gate()
        yield model


@pytest.fixture
async def served(tmp_path: Path, model: ChatServer) -> AsyncIterator[Served]:
    async with serving(write(tmp_path, settings=model.settings)) as server:
        yield server


@pytest.mark.parametrize("width", [375, 1280])
async def test_words_are_on_the_page_while_they_are_said(
    served: Served, browser: Browser, model: ChatServer, width: int
) -> None:
    gate = model.between
    assert isinstance(gate, Gate)
    async with browser.page(width=width) as page:
        await enter(page, served, "sessions")
        await page.evaluate("document.getElementById('agent').value = 'robot'")
        await page.fill("#message", "Where is it?")
        await page.click("form[action$=sessions] button")
        await page.until("location.pathname.includes('/ui/sessions/ses_')")
        gate.open(3)
        await page.until(f"{SAID}.includes('It is on')")
        assert "robot" in await page.evaluate(SAID)
        gate.open(2)
        await page.until(f"{SAID}.includes('It is on its way')")
        gate.open()
        await page.until(f"{RECORDED}.includes('It is on its way <b>to</b> you.')")
        await page.until(f"{SAID} === ''")
        await page.until("document.querySelector('h1').innerText.includes('Completed')")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.complaints == []


async def test_a_turn_that_broke_off_begins_anew_on_the_page(
    served: Served, browser: Browser, model: ChatServer
) -> None:
    gate = model.between
    assert isinstance(gate, Gate)
    gate.cuts_at = [2]
    made = (await served.client.post("/agents/robot/prompt", json={"message": "Where?"})).json()
    async with browser.page() as page:
        await enter(page, served, f"sessions/{made['session_id']}?run={made['run_id']}")
        gate.open(2)
        await page.until(f"{SAID}.includes('It is')")
        gate.open(2)
        await page.until(f"{SAID}.trim().endsWith('It')")
        gate.open()
        await page.until(f"{RECORDED}.includes('to</b> you.')")
        await page.until(f"{SAID} === ''")
        assert page.complaints == []


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there: `npm ci --prefix tests/browser`")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_axe_finds_nothing(served: Served, browser: Browser, dark: bool) -> None:
    found: dict[str, list[str]] = {}
    async with browser.page(dark=dark) as page:
        await enter(page, served, "sessions")
        found["none"] = await complaints(page)
        made = await prompted(served)
        await prompted(served, "careful", "Refund it.")
        for path in ("sessions", f"sessions/{made['session_id']}", f"runs/{made['run_id']}?step=support%230"):
            await page.go(f"{served.url}/ui/{path}")
            await page.evaluate(
                "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
            )
            found[path] = await complaints(page)
    assert {path: wrong for path, wrong in found.items() if wrong} == {}
