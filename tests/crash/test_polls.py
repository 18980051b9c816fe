"""A server that polls is killed again and again: every item that there was started one run."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.crash.process import Died, Serve

pytestmark = [pytest.mark.crash, pytest.mark.process, pytest.mark.slow]

ITEMS = 100
KILLS = 20
WORKFLOW = """
from ksl import workflow


@workflow
async def take(input: int) -> int:
    return input
"""
TRIGGER = """
import os

import httpx
from ksl import PollContext, PollSource
from pydantic import BaseModel

from workflows.take import take


class Item(BaseModel):
    id: int


class Cursor(BaseModel):
    newest: int = 0


async def fetch(ctx: PollContext[Cursor]) -> list[Item]:
    newest = ctx.state.newest if ctx.state else 0
    found: list[Item] = []
    async with httpx.AsyncClient(base_url=os.environ["FEED"], trust_env=False) as client:
        for page in range(4):
            answer = await client.get("/items", params={"after": newest, "page": page})
            answer.raise_for_status()
            found += [Item(**each) for each in answer.json()]
            ctx.set_state(Cursor(newest=max([newest, *(item.id for item in found)])))
    return found


PollSource("feed", "* * * * *", fetch, state=Cursor, each=True, key=lambda item: item.id).attach(
    take, transform=lambda item: item.id
)
"""


class Feed:
    """Items 1 to 100, more of them over time, in pages that overlap each other and what was asked for before. One
    request in five fails."""

    def __init__(self) -> None:
        self.newest = 0
        self.requests = self.failures = 0
        self.served: list[int] = []
        self._lock = threading.Lock()

    def answer(self, query: dict[str, list[str]]) -> tuple[int, bytes]:
        after, page = int(query["after"][0]), int(query["page"][0])
        with self._lock:
            self.requests += 1
            if self.requests % 5 == 3:
                self.failures += 1
                return 503, b"busy"
            first = max(1, after - 2) + page * 4
            items = [number for number in range(first, first + 7) if number <= self.newest]
            self.served += items
            return 200, json.dumps([{"id": number} for number in items]).encode()


@contextmanager
def serving(feed: Feed) -> Generator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = feed.answer(parse_qs(urlsplit(self.path).query))
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # whoever asked was killed

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def poll_until_killed(server: Serve) -> int:
    """Returns how many polls were answered before it died."""
    answered = 0
    try:
        while True:
            answered += server.ask("POST", "/triggers/feed/invoke").status_code == 202
    except Died:
        return answered


def started(server: Serve) -> list[int]:
    """The inputs of all runs."""
    found: list[int] = []
    cursor: str | None = None
    while True:
        page: Any = server.ask("GET", "/runs?limit=50" + (f"&cursor={cursor}" if cursor else "")).json()
        found += [server.ask("GET", f"/runs/{run['run_id']}").json()["input"] for run in page["runs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_a_server_killed_twenty_times_starts_one_run_for_each_of_a_hundred_items(tmp_path: Path) -> None:
    for name, text in (("workflows/take.py", WORKFLOW), ("triggers/feed.py", TRIGGER), ("ksl.toml", "")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    chance = random.Random(5)
    feed = Feed()
    answered = 0
    with serving(feed) as url:
        for life in range(KILLS):
            feed.newest = (life + 1) * ITEMS // KILLS
            environment = {"FEED": url}
            at_a_commit = life % 2 == 0
            if at_a_commit:
                environment["CRASH_AT"] = f"{chance.choice(['commit', 'stored'])}:{chance.randrange(1, 5)}"
            with Serve(tmp_path, environment=environment) as server:
                if at_a_commit:
                    killer = threading.Timer(4.0, server.process.kill)  # few items may give fewer commits
                else:
                    server.client()
                    killer = threading.Timer(chance.uniform(0.02, 0.3), server.process.kill)
                killer.start()
                answered += poll_until_killed(server)
                assert server.process.wait() == -9, server.said()
                killer.cancel()
        with Serve(tmp_path, environment={"FEED": url}) as server:
            until = time.monotonic() + 60
            while len(inputs := started(server)) < ITEMS and time.monotonic() < until:
                server.ask("POST", "/triggers/feed/invoke")
            firings: Any = server.ask("GET", "/triggers/feed/runs?limit=1000").json()["firings"]
            trigger: Any = server.ask("GET", "/triggers/feed").json()
    assert sorted(inputs) == list(range(1, ITEMS + 1))
    assert trigger["state"] == {"newest": ITEMS}
    # Nothing of this would be worth saying if there had been nothing to repeat.
    assert len(feed.served) > 2 * ITEMS
    assert feed.failures > KILLS
    assert answered > KILLS
    failed = [each for each in firings if each["verdict"] == "failed"]
    assert failed
    assert all("503" in each["reason"] and each["run_ids"] == [] for each in failed)
    assert sum(len(each["run_ids"]) for each in firings) == ITEMS
