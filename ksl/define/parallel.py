"""Doing several things at once in a body, in an order that replays.

Both work inside a run and outside one. asyncio's own `as_completed` over coroutines goes by memory addresses,
which differ from process to process, so ksl has its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def bounded(n: int, awaitables: Iterable[Awaitable[T]]) -> Coroutine[Any, Any, list[T]]:
    """Like gather with at most `n` at once: results in order, as a list.

    Step calls made for it wait for their slot. At the first failure what is in flight is cancelled, the rest
    never starts, and the failure is raised. Errors: ValueError for n < 1.
    """
    if n < 1:
        raise ValueError(f"bounded({n}, ...): at least one must run at a time")
    return _bounded(n, list(awaitables))


async def _bounded(n: int, items: list[Awaitable[T]]) -> list[T]:
    arrivals = _Arrivals()
    futures: list[asyncio.Future[T]] = []
    try:
        for item in items[:n]:
            futures.append(arrivals.add(item))
        for _ in items:
            done = await arrivals.next()
            if done.cancelled() or done.exception() is not None:
                break
            if len(futures) < len(items):
                futures.append(arrivals.add(items[len(futures)]))
        else:
            return [future.result() for future in futures]
        return [done.result()]  # raises what failed
    finally:
        await _abandon([future for future in futures if not future.done()], items[len(futures) :])


def as_completed(awaitables: Iterable[Awaitable[T]]) -> AsyncIterator[T]:
    """Results in the order in which they arrive: `async for result in as_completed([...])`.

    All are started in the order given. A failure is raised at its turn; what is still in flight when the loop
    is left is cancelled.
    """
    return _as_completed(list(awaitables))


async def _as_completed(items: list[Awaitable[T]]) -> AsyncIterator[T]:
    arrivals = _Arrivals()
    futures = [arrivals.add(item) for item in items]
    try:
        for _ in items:
            yield (await arrivals.next()).result()
    finally:
        await _abandon([future for future in futures if not future.done()], [])


class _Arrivals:
    """Futures in the order in which they are done."""

    def __init__(self) -> None:
        self._done: deque[asyncio.Future[Any]] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def add(self, item: Awaitable[T]) -> asyncio.Future[T]:
        future = asyncio.ensure_future(item)
        future.add_done_callback(self._arrived)
        return future

    def _arrived(self, future: asyncio.Future[Any]) -> None:
        self._done.append(future)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> asyncio.Future[Any]:
        while not self._done:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._done.popleft()


async def _abandon(in_flight: list[asyncio.Future[Any]], unstarted: Iterable[Awaitable[Any]]) -> None:
    for item in _closable(unstarted):
        item.close()
    for future in in_flight:
        future.cancel()
    if in_flight:
        await asyncio.gather(*in_flight, return_exceptions=True)


def _closable(items: Iterable[Awaitable[Any]]) -> Iterator[Any]:
    """Coroutines and step calls that never started: closed, so that nothing warns of a forgotten await."""
    return (item for item in items if hasattr(item, "close"))
