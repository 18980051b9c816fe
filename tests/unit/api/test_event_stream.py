from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import Message

from ksl.api.event_stream import EventStream, Page

SCOPE: dict[str, Any] = {"type": "http"}


class Log:
    """Numbers as events, and who wants to be woken when there are more."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.ended = False
        self.wakers: list[Callable[[], None]] = []

    def add(self, *numbers: int, ended: bool = False) -> None:
        self.rows += [(number, {"n": number}) for number in numbers]
        self.ended = ended
        for wake in self.wakers:
            wake()

    async def more(self, after: int) -> Page:
        rows = [row for row in self.rows if row[0] > after]
        return Page(rows, ended=self.ended and not rows)

    def wake_on_commit(self, wake: Callable[[], None]) -> Callable[[], None]:
        self.wakers.append(wake)
        return lambda: self.wakers.remove(wake)


class Client:
    def __init__(self) -> None:
        self.body = b""
        self.sent: asyncio.Condition = asyncio.Condition()
        self.left = asyncio.Event()
        self.finished = False

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.body += message.get("body", b"")
        self.finished = message["type"] == "http.response.body" and not message["more_body"]
        async with self.sent:
            self.sent.notify_all()

    async def has(self, text: bytes) -> None:
        async with self.sent:
            await self.sent.wait_for(lambda: text in self.body)


def stream(
    log: Log, *, after: int = 0, stopping: asyncio.Event | None = None, ping_s: float = 60
) -> EventStream:
    stopping = stopping or asyncio.Event()
    return EventStream(log.more, after=after, wake=log.wake_on_commit, stopping=stopping, ping_s=ping_s)


async def test_events_are_sent_with_their_ids_until_the_end() -> None:
    log, client = Log(), Client()
    log.add(1, 2, ended=True)
    await stream(log)(SCOPE, client.receive, client.send)
    frames = client.body.split(b"\n\n")
    assert frames[1:3] == [b'id: 1\ndata: {"n":1}', b'id: 2\ndata: {"n":2}']
    assert client.finished
    assert log.wakers == []


async def test_what_is_stored_later_is_sent_later_without_polling() -> None:
    log, client = Log(), Client()
    log.add(1)
    sending = asyncio.create_task(stream(log)(SCOPE, client.receive, client.send))
    await client.has(b"id: 1\n")
    log.add(2)
    await client.has(b"id: 2\n")
    log.add(ended=True)
    await sending


async def test_a_silent_stream_says_now_and_then_that_it_lives() -> None:
    log, client = Log(), Client()
    sending = asyncio.create_task(stream(log, ping_s=0)(SCOPE, client.receive, client.send))
    await client.has(b"\n: still here\n\n")
    log.add(ended=True)
    await sending


async def test_a_client_that_leaves_is_forgotten() -> None:
    log, client = Log(), Client()
    sending = asyncio.create_task(stream(log)(SCOPE, client.receive, client.send))
    await client.has(b": connected")
    client.left.set()
    await sending
    assert log.wakers == []


async def test_a_stream_ends_when_the_server_stops() -> None:
    log, client, stopping = Log(), Client(), asyncio.Event()
    sending = asyncio.create_task(stream(log, stopping=stopping)(SCOPE, client.receive, client.send))
    await client.has(b": connected")
    stopping.set()
    await sending
    assert client.finished
