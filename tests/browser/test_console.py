"""The console and the approval page in a real browser: lights, answers, and what its console complains of."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.browser.chromium import Browser
from tests.browser.entering import enter
from tests.integration.api.serving import Served

pytestmark = pytest.mark.slow


async def test_a_link_leads_to_the_runs_by_itself(served: Served, browser: Browser) -> None:
    async with browser.page() as page:
        await page.go((await served.client.post("/login-links")).json()["url"], loads=2)
        assert (await page.address()).endswith("/ui/runs")
        await page.until("document.body.innerText.includes('No runs yet')")
        await page.until("document.getElementById('connection').innerText === 'live'")
        assert page.complaints == []


async def test_a_canvas_lights_while_its_run_runs(served: Served, browser: Browser) -> None:
    async with browser.page() as page:
        await enter(page, served, "workflows/shipping")
        await page.fill("input[name=id]", "o-1")
        await page.click("form[action*='workflows/shipping'] > button")
        node = "document.querySelector('[data-id={}]')"
        ship, refuse = node.format("ship"), node.format("refuse")
        await page.until(f"{ship}.classList.contains('state-running')")
        assert "running" in await page.evaluate(f"{ship}.getAttribute('aria-label')")
        assert await page.evaluate(f"{ship}.querySelector('use.sign').getAttribute('href')") == "#ksl-running"
        sys.modules["workflows.more"].GATE.set()
        await page.until(f"{ship}.classList.contains('state-done')")
        await page.until("document.querySelector('h1').innerText.includes('Success')")
        await page.until(f"{refuse}.classList.contains('state-caught')")
        assert "2 tries" in await page.evaluate(f"{refuse}.getAttribute('aria-label')")
        assert (await page.evaluate(f"{refuse}.querySelector('.note').textContent")).startswith("Connection")
        # It is over: the page has given its connection back.
        await page.until("document.getElementById('connection').hidden")
        assert page.complaints == []


async def test_the_canvas_as_text_lights_as_the_drawing_does(served: Served, browser: Browser) -> None:
    run_id = await served.start("scattered", {"id": "o-1"})
    async with browser.page() as page:
        await enter(page, served, f"runs/{run_id}")
        told = "document.querySelector('.outline [data-node=ship]').textContent"
        frame = "document.querySelector('.ksl-canvas .frame.opaque').classList"
        await page.until(f"{told}.startsWith('ship, action, running')")
        await page.until(f"{frame}.contains('state-running')")
        sys.modules["workflows.more"].GATE.set()
        await page.until(f"{told}.startsWith('ship, action, done in ')")
        assert await page.evaluate("document.querySelector('[data-node=ship]').previousSibling") is not None
        sign = "document.querySelector('.outline [data-node=ship]').previousElementSibling.textContent"
        assert await page.evaluate(sign) == "✓"
        await page.until(f"{frame}.contains('state-done')")
        assert await page.evaluate(f"{told}") == await page.evaluate(
            "document.querySelector('[data-id=ship]').getAttribute('aria-label')"
        )
        assert page.complaints == []


async def test_what_is_written_outlives_the_part_it_is_in_and_a_reload(
    served: Served, browser: Browser
) -> None:
    run_id = await served.start("shipping", {"id": "o-1"})
    async with browser.page() as page:
        await enter(page, served, f"runs/{run_id}")
        await page.evaluate("document.querySelector('[data-key=cancel]').open = true")
        await page.write("#why", "the customer changed")
        await page.evaluate("document.activeElement.blur()")
        # The part with the form is written anew, as a pause makes it.
        await served.client.post(f"/runs/{run_id}/pause")
        await page.until("document.querySelector('h1').innerText.includes('Held')")
        assert await page.evaluate("document.querySelector('#why').value") == "the customer changed"
        await page.reload()
        assert await page.evaluate("document.querySelector('#why').value") == "the customer changed"
        assert await page.evaluate("document.querySelector('[data-key=cancel]').open")
        # Sent and answered, it is forgotten.
        await page.click("form[action$='/cancel'] button")
        assert await page.evaluate("Object.keys(sessionStorage).length") == 0
        assert page.complaints == []


async def test_what_is_written_is_there_when_the_session_had_ended(served: Served, browser: Browser) -> None:
    run_id, _ = await served.asked("approval", {})
    async with browser.page() as page:
        await enter(page, served, f"hooks/{run_id}?step=hook%230")
        await page.click("#decision-answer", loads=False)
        await page.click("input[name=approved][value=true]", loads=False)
        await page.write("input[name=note]", "after the release")
        await page.send("Network.clearBrowserCookies")
        await page.click("form.answer button.if-answer")
        assert "Nothing was done" in await page.text()
        await page.fill("#token", served.runtime.token)
        await page.click("button")
        assert "step=hook%230" in await page.address()
        assert await page.evaluate("document.querySelector('input[name=note]').value") == "after the release"
        assert await page.evaluate("document.querySelector('#decision-answer').checked")
        refused = [each for each in page.complaints if "401" not in each]
        assert refused == []


async def test_nothing_counts_on_while_the_server_is_away(served: Served, browser: Browser) -> None:
    run_id = await served.start("shipping", {"id": "o-1"})
    async with browser.page() as page:
        await enter(page, served, f"runs/{run_id}")
        await page.until("document.getElementById('connection').innerText === 'live'")
        served.stop.set()
        told = "document.getElementById('connection').innerText"
        await page.until(f"/^no connection, as of \\d\\d:\\d\\d:\\d\\d$/.test({told})")
        took = "document.querySelector('time[data-since]').textContent"
        before = await page.evaluate(took)
        # It counts once a second, and what is asked for later comes after it.
        await page.evaluate("{const now = Date.now; Date.now = () => now() + 3_600_000;}")
        await page.evaluate("new Promise((done) => setInterval(done, 1000))")
        assert await page.evaluate(took) == before


async def test_a_click_on_a_node_shows_its_step(served: Served, browser: Browser) -> None:
    run = await served.ended("refused", {"id": "o-1"})
    async with browser.page() as page:
        await enter(page, served, f"runs/{run['run_id']}")
        await page.evaluate(
            "document.querySelector('[data-id=refuse]').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
        )
        while "step=refuse%230" not in await page.address():
            pass
        await page.until("document.querySelector('#step h2').innerText.includes('refuse#0')")
        assert "ConnectionError refused <b>" in await page.text()
        assert page.complaints == []


async def test_what_is_open_stays_open_while_the_page_follows(served: Served, browser: Browser) -> None:
    run_id = await served.start("shipping", {"id": "o-1"})
    async with browser.page() as page:
        await enter(page, served, f"runs/{run_id}")
        await page.evaluate("document.querySelector('[data-key=events]').open = true")
        sys.modules["workflows.more"].GATE.set()
        await page.until("document.querySelector('[data-key=events]').innerText.includes('run_completed')")
        assert await page.evaluate("document.querySelector('[data-key=events]').open")


@pytest.mark.parametrize("script", [True, False])
async def test_a_hook_is_answered_in_the_console_with_and_without_script(
    served: Served, browser: Browser, script: bool
) -> None:
    run_id, _ = await served.asked("approval", {})
    async with browser.page(width=375, height=700, script=script) as page:
        await enter(page, served, f"hooks/{run_id}?step=hook%230")
        await page.click("#decision-answer", loads=False)
        await page.click("input[name=approved][value=true]", loads=False)
        await page.click("form.answer button.if-answer")
        assert (await served.settled(run_id))["output"]["approved"] is True
        assert page.complaints == []


@pytest.mark.parametrize("script", [True, False])
async def test_the_approval_page_is_answered_with_the_keyboard_alone(
    served: Served, browser: Browser, script: bool
) -> None:
    run_id, link = await served.asked("approval", {})
    async with browser.page(width=375, height=700, script=script) as page:
        await page.go(served.url + link)
        await page.tab_to("#decision-answer")
        await page.press(" ")
        await page.tab_to("input[name=approved]")
        await page.press(" ")
        await page.tab_to("input[name=note]")
        await page.send("Input.insertText", text="fine")
        await page.tab_to("button.if-answer")
        async with asyncio.timeout(30):
            await page.press("Enter")
            assert (await served.settled(run_id))["output"] == {
                "approved": True,
                "level": "low",
                "note": "fine",
            }
        assert page.complaints == []


async def test_a_gap_in_the_form_is_marked_before_it_is_sent(served: Served, browser: Browser) -> None:
    run_id, link = await served.asked("approval", {})
    async with browser.page(width=375, height=700) as page:
        await page.go(served.url + link)
        await page.click("#decision-answer", loads=False)
        await page.click("button.if-answer", loads=False)
        assert await page.evaluate("document.querySelector('input[name=approved]').matches(':invalid')")
        # What is left empty there keeps nobody from rejecting.
        await page.click("#decision-reject", loads=False)
        await page.click("button.if-reject")
        assert (await served.settled(run_id))["status"] == "failed"


async def test_the_approval_page_answers_once(served: Served, browser: Browser) -> None:
    run_id, link = await served.asked("approval", {})
    async with browser.page(width=375, height=700) as page, browser.page() as other:
        await page.go(served.url + link)
        await other.go(served.url + link)
        assert "Ship it?" in await page.text()
        for each, answer in ((page, "true"), (other, "false")):
            await each.click("#decision-answer", loads=False)
            await each.click(f"input[name=approved][value={answer}]", loads=False)
            await each.fill("#by", "Ada")
            await each.click("button.if-answer")
        assert "Thank you" in await page.text()
        assert "This was answered before" in await other.text()
        assert (await served.settled(run_id))["output"]["approved"] is True
        assert page.complaints == []


async def test_no_page_is_wider_than_a_phone(served: Served, browser: Browser) -> None:
    run = await served.ended("refused", {"id": "o-1"})
    asked, _ = await served.asked("approval", {})
    async with browser.page(width=375, height=700) as page:
        await enter(page, served)
        for path in (
            "runs",
            f"runs/{run['run_id']}?step=refuse%230",
            "hooks",
            f"hooks/{asked}?step=hook%230",
        ):
            await page.go(f"{served.url}/ui/{path}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 375, path
        for path in ("workflows", "workflows/shipping", "triggers", "triggers/orders", "system"):
            await page.go(f"{served.url}/ui/{path}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 375, path
