"""The console as a browser without script sees it: cookies, pages, forms."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.integration.api.serving import Served

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Visitor:
    """`page` is the newest one; forms are sent as that page would send them."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self.client = client
        self.url = url

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(f"/ui/{path}")

    async def send(self, path: str, proof: str | None = None, **fields: str) -> httpx.Response:
        """A form. `proof` is that of a page of the session, unless it is given."""
        if proof is None:
            proof = proof_in(await self.get("system"))
        content = urlencode({"ksl:proof": proof, **fields})
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.url}
        return await self.client.post(f"/ui/{path}", content=content, headers=headers)

    async def live(self, path: str, last_id: int | None = None) -> AsyncGenerator[tuple[str, int, Any]]:
        """Messages: their event, id and data."""
        headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
        async with self.client.stream("GET", f"/ui/live/{path}", headers=headers) as answer:
            assert answer.status_code == 200, answer.status_code
            event, number = "message", 0
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                match name:
                    case "event":
                        event = value
                    case "id":
                        number = int(value)
                    case "data":
                        yield event, number, json.loads(value)
                        event = "message"
                    case _:
                        pass


@asynccontextmanager
async def visiting(served: Served) -> AsyncGenerator[Visitor]:
    """Somebody who was let in by a link."""
    async with httpx.AsyncClient(
        base_url=served.url, headers=BROWSER, timeout=30, trust_env=False, follow_redirects=True
    ) as client:
        link = (await served.client.post("/login-links")).json()["url"]
        assert (await client.get(link)).status_code == 200
        yield Visitor(client, served.url)


def proof_in(page: httpx.Response) -> str:
    found = re.search(r'name="ksl:proof" value="([0-9a-f]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def text_in(page: httpx.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())
