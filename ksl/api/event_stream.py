"""Responses of server-sent events: what they have in common, and the one that grows with the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ksl.runtime.speech import Listener
from ksl.views.values import encode

TEXT_S = 0.05  # a model's words are sent so often at most, however many pieces they come in
# Proxies and browsers give up on a connection that is silent for a minute or less.
PING_S = 15.0


class Page(NamedTuple):
    """Ids with their events, ascending. `ended`: nothing will ever follow."""

    rows: list[tuple[int, dict[str, Any]]]
    ended: bool = False


class ServerSentEvents(Response):
    """Open until `follow` returns, the client goes or the server stops. `wake` is `Store.wake_on_commit`."""

    greeting = b"retry: 2000\n\n"

    def __init__(
        self, *, wake: Callable[[Callable[[], None]], Callable[[], None]], stopping: asyncio.Event
    ) -> None:
        super().__init__(media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._wake = wake
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        woken = asyncio.Event()
        unsubscribe = self._wake(woken.set)
        leaving: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(_gone(receive)),
            asyncio.ensure_future(self._stopping.wait()),
        ]
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            await write(send, self.greeting)
            await self.follow(send, woken, leaving)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            unsubscribe()
            for task in leaving:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)

    async def follow(self, send: Send, woken: asyncio.Event, leaving: list[asyncio.Future[Any]]) -> None:
        """Sends what there is, until nothing will follow or one of `leaving` is done."""
        raise NotImplementedError


class EventStream(ServerSentEvents):
    """Sends what `more(after)` yields until it says that it has ended, the client goes or the server stops.

    Woken by commits, never by polling. A slow client slows down only itself: the next page is read from the
    log after the one before has been sent, and nothing is kept in between.
    """

    # The comment makes the first bytes go out at once, so that a client knows it is connected.
    greeting = b"retry: 2000\n: connected\n\n"

    def __init__(
        self,
        more: Callable[[int], Awaitable[Page]],
        *,
        after: int,
        wake: Callable[[Callable[[], None]], Callable[[], None]],
        stopping: asyncio.Event,
        listening: AbstractContextManager[Listener] | None = None,
        ping_s: float = PING_S,
    ) -> None:
        """`listening`: to what models say meanwhile, which is sent between the events."""
        super().__init__(wake=wake, stopping=stopping)
        self._more = more
        self._after = after
        self._ping_s = ping_s
        self._listening = listening

    async def follow(self, send: Send, woken: asyncio.Event, leaving: list[asyncio.Future[Any]]) -> None:
        with self._listening or nullcontext() as listener:
            while not any(task.done() for task in leaving):
                # Cleared before the log is read: what is stored while it is being read wakes the next turn.
                woken.clear()
                page = await self._more(self._after)
                if page.rows:
                    await write(send, b"".join(_frame(row_id, event) for row_id, event in page.rows))
                    self._after = page.rows[-1][0]
                elif page.ended:
                    return
                elif not await said_until(woken, leaving, send, listener, timeout_s=self._ping_s):
                    await write(send, b": still here\n\n")


async def said_until(
    woken: asyncio.Event,
    leaving: list[asyncio.Future[Any]],
    send: Send,
    listener: Listener | None,
    *,
    timeout_s: float,
) -> bool:
    """Sends what models say until there is something else to do. False where nothing came in that time."""
    if listener is None:
        return await first_of(woken, leaving, timeout_s=timeout_s)
    while await first_of(woken, leaving, listener.heard, timeout_s=timeout_s):
        if news := listener.news():
            await write(send, b"".join(b"event: text\ndata: %b\n\n" % encode(each) for each in news))
        if woken.is_set() or await first_of(woken, leaving, timeout_s=TEXT_S):
            return True
    return False


async def first_of(
    woken: asyncio.Event, leaving: list[asyncio.Future[Any]], *others: asyncio.Event, timeout_s: float
) -> bool:
    """False where nothing came in that time."""
    wakes = [asyncio.ensure_future(event.wait()) for event in (woken, *others)]
    try:
        done, _ = await asyncio.wait(
            [*wakes, *leaving], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for wake in wakes:
            wake.cancel()
    return bool(done)


def _frame(row_id: int, event: dict[str, Any]) -> bytes:
    # JSON text has no line breaks of its own, so one data line holds it
    return b"id: %d\ndata: %b\n\n" % (row_id, encode(event))


async def write(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
