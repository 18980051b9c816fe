"""A request's body, read whole before any route or parser sees it, and no further than the limit."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from starlette.types import Message, Receive, Scope

from ksl.define.duration import format_size
from ksl.errors import BadRequest, BodyTooLarge, KslError

# A client that sends slower than this is told so, or it could hold a connection and its memory for ever.
DEADLINE_S = 60.0

# What is read and thrown away of a body that is too large. A client that is still writing when the
# connection closes sees a broken pipe and not the answer; most that send too much send less than this.
DRAIN_MAX = 64 << 20
DRAIN_S = 10.0


class Refusal(NamedTuple):
    error: KslError
    status: int


async def capped(scope: Scope, receive: Receive, *, body_max: int) -> Receive | Refusal | None:
    """A `receive` that has the whole body in its first message; None when the client went away."""
    length = _header(scope, b"content-length")
    chunked = _header(scope, b"transfer-encoding") is not None
    if not chunked and length in (None, b"0"):
        return receive
    if not chunked and length is not None and int(length) > body_max:
        return await _too_large(scope, receive, body_max, promised=int(length))
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(DEADLINE_S):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > body_max:
                    parts.clear()
                    return await _too_large(scope, receive, body_max, promised=size)
                more = message.get("more_body", False)
    except TimeoutError:
        return Refusal(BadRequest(f"The body did not arrive within {DEADLINE_S:g} s. Nothing was done."), 408)
    return _first(b"".join(parts), receive)


def _first(body: bytes, receive: Receive) -> Receive:
    pending: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def receive_body() -> Message:
        nonlocal pending
        if pending is not None:
            message, pending = pending, None
            return message
        return await receive()

    return receive_body


async def _too_large(scope: Scope, receive: Receive, body_max: int, *, promised: int) -> Refusal:
    # A client that asked first (Expect: 100-continue) has not begun, and will not.
    if promised <= DRAIN_MAX and _header(scope, b"expect") is None:
        try:
            async with asyncio.timeout(DRAIN_S):
                await _drain(receive)
        except TimeoutError:
            pass  # the answer goes out all the same; whether it is read is up to the client
    limit = format_size(body_max)
    return Refusal(
        BodyTooLarge(
            f"The body is larger than {limit}, the limit of this server (limits.body in ksl.toml). "
            "Nothing was done. Pass a reference to large data instead of the data, or raise the limit."
        ),
        413,
    )


async def _drain(receive: Receive) -> None:
    drained = 0
    while drained <= DRAIN_MAX:
        message = await receive()
        drained += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)
