from __future__ import annotations

from tests.browser.chromium import Page
from tests.integration.api.serving import Served


async def enter(page: Page, served: Served, path: str = "runs") -> None:
    """By a link, as `ksl open` makes one; the page goes on to the runs by itself."""
    link: str = (await served.client.post("/login-links")).json()["url"]
    await page.go(link, loads=2)
    await page.go(f"{served.url}/ui/{path}")
