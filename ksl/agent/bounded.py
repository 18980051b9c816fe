"""Answers over HTTP that have an end: a server that never stops sending fills no memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2

# Of one answer as it is sent. A streamed token takes some hundred bytes: this is more than any model says in a turn.
ANSWER_BYTES_MAX = 128 * 1024 * 1024


class AnswerTooLong(Exception):
    pass


def is_too_long(error: BaseException | None) -> bool:
    """Whether that is what ended a request: clients put errors of their own around it."""
    while error is not None and not isinstance(error, AnswerTooLong):
        error = error.__cause__ or error.__context__
    return error is not None


async def bound(response: httpx2.Response) -> None:
    """A hook of an HTTP client, for each response before its body is read."""
    response.stream = _Bounded(cast("httpx2.AsyncByteStream", response.stream))


HOOKS: dict[str, list[Any]] = {"response": [bound]}


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for piece in self._stream:
            count += len(piece)
            if count > ANSWER_BYTES_MAX:
                raise AnswerTooLong
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
