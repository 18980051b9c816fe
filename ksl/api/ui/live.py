"""The one stream of a page: all that it shows at first, then only what has become different.

A page names its parts (`data-section`) and its canvas names its nodes (`data-id`). What is sent has both by name,
so that the page's script puts it in its place and knows nothing more. The id of each message is the run's `seq`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.types import Send

from ksl.api.event_stream import PING_S, ServerSentEvents, said_until, write
from ksl.runtime.speech import Listener
from ksl.views.drawings import pending_node
from ksl.views.values import JsonObject, encode

# A step in flight is not in the log, so no commit tells of its beginning: it is looked for this often, in memory.
LOOK_S = 0.25
PAUSE_S = 0.1  # at most ten changes a second, however many events there are


@dataclass(frozen=True)
class Now:
    """`ended`: nothing on the page will ever be different. `counts_s`: how often what is told of nodes is another one
    by time alone, as "try 3 in 4s" is; None where it is not."""

    seq: int
    sections: dict[str, str]
    nodes: JsonObject = field(default_factory=dict[str, Any])
    ended: bool = False
    counts_s: float | None = None


class LiveStream(ServerSentEvents):
    greeting = b"retry: 1000\n\n"

    def __init__(
        self,
        now: Callable[[], Awaitable[Now]],
        *,
        in_flight: Callable[[], object],
        wake: Callable[[Callable[[], None]], Callable[[], None]],
        stopping: asyncio.Event,
        pause_s: float = PAUSE_S,
        listening: AbstractContextManager[Listener] | None = None,
    ) -> None:
        """`in_flight` is compared with itself: when it is another, the page is looked at anew. `listening`: to what
        models say meanwhile."""
        super().__init__(wake=wake, stopping=stopping)
        self._now = now
        self._in_flight = in_flight
        self._pause_s = pause_s
        self._listening = listening

    async def follow(self, send: Send, woken: asyncio.Event, leaving: list[asyncio.Future[Any]]) -> None:
        with self._listening or nullcontext() as listener:
            await self._follow(send, woken, leaving, listener)

    async def _follow(
        self, send: Send, woken: asyncio.Event, leaving: list[asyncio.Future[Any]], listener: Listener | None
    ) -> None:
        before: Now | None = None
        counted = False
        clock = asyncio.get_running_loop().time
        while not any(task.done() for task in leaving):
            woken.clear()
            seen, begun = self._in_flight(), clock()
            now = await self._now()
            if before is not None and counted:
                now = replace(now, sections=before.sections)
            if message := _difference(before, now):
                await write(send, b"id: %d\ndata: %b\n\n" % (now.seq, encode(message)))
            before = now
            if now.ended:
                await write(send, b"event: ended\nid: %d\ndata: {}\n\n" % now.seq)
                return
            # A page that takes long to make is made less often, so that it never has the server to itself.
            await asyncio.wait(leaving, timeout=max(self._pause_s, 4 * (clock() - begun)))
            pinged = clock()
            counted = False
            while not woken.is_set() and self._in_flight() == seen and not any(t.done() for t in leaving):
                await said_until(woken, leaving, send, listener, timeout_s=LOOK_S)
                counted = not woken.is_set() and now.counts_s is not None and clock() - begun >= now.counts_s
                if counted:
                    break
                if clock() - pinged >= PING_S:
                    await write(send, b": still here\n\n")
                    pinged = clock()


def _difference(before: Now | None, now: Now) -> JsonObject:
    if before is None:
        return {"whole": True, "sections": now.sections, "nodes": now.nodes, "pending": pending_node()}
    message: JsonObject = {}
    if sections := {name: html for name, html in now.sections.items() if before.sections.get(name) != html}:
        message["sections"] = sections
    nodes = {id: node for id, node in now.nodes.items() if before.nodes.get(id) != node}
    nodes |= {id: pending_node() for id in before.nodes if id not in now.nodes}
    if nodes:
        message["nodes"] = nodes
    return message
