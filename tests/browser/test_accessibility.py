"""Nothing on a page keeps people out who do not see it, or do not see it well: axe-core's rules, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chromium import Browser, Page
from tests.browser.entering import enter
from tests.integration.api.serving import Served

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there: `npm ci --prefix tests/browser`"),
]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_axe_finds_nothing(served: Served, browser: Browser, dark: bool) -> None:
    failed = (await served.ended("refused", {"id": "o-1"}))["run_id"]
    asked, link = await served.asked("approval", {})
    await served.client.post("/triggers/orders/invoke", json={"input": {"id": "o-2"}})
    found: dict[str, list[str]] = {}
    async with browser.page(dark=dark) as page:
        await page.go(f"{served.url}/ui/runs")
        found["login"] = await complaints(page)
        await page.go(served.url + link)
        found["link"] = await complaints(page)
        await enter(page, served)
        for path in (
            "runs",
            "runs?q=stat:failed",
            f"runs/{failed}?step=refuse%230",
            f"runs/{asked}",
            "hooks",
            f"hooks/{asked}?step=hook%230",
            "workflows",
            "workflows/shipping",
            "triggers",
            "triggers/orders",
            "system",
            "runs/run_nope",
        ):
            await page.go(f"{served.url}/ui/{path}")
            found[path] = await complaints(page)
        await page.evaluate("document.body.append(document.createElement('img'))")
        assert any("image-alt" in wrong for wrong in await complaints(page))
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


async def complaints(page: Page) -> list[str]:
    await page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    found: list[str] = await page.evaluate(
        """axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
          .then((told) => told.violations.map((wrong) =>
            `${wrong.impact} ${wrong.id}: ${wrong.nodes.map((node) => node.html.slice(0, 150)).join(" ")}`))"""
    )
    return found
