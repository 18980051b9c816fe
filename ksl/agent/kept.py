"""Things that are costly to make and hold connections, kept for those who come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Entry(Generic[V]):
    def __init__(self, thing: V) -> None:
        self.thing = thing
        self.users = 0


class Kept(Generic[K, V]):
    """By what they are made of. Those in use stay open; of the others the `idle_max` that were used last."""

    def __init__(self, close: Callable[[V], Awaitable[None]], *, idle_max: int) -> None:
        self._close = close
        self._idle_max = idle_max
        self._entries: dict[K, _Entry[V]] = {}  # used last comes last
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def use(
        self, key: K, make: Callable[[], Awaitable[V]], *, is_good: Callable[[V], bool] | None = None
    ) -> AsyncGenerator[V]:
        """One for `key`, made anew where there is none that is good."""
        async with self._turn:
            entry = self._entries.pop(key, None)
            if entry is not None and is_good is not None and not is_good(entry.thing):
                await self._close(entry.thing)
                entry = None
            if entry is None:
                entry = _Entry(await make())
            self._entries[key] = entry
            entry.users += 1
        try:
            yield entry.thing
        finally:
            entry.users -= 1
            await self._let_go()

    async def close(self) -> None:
        entries, self._entries = self._entries, {}
        for entry in entries.values():
            await self._close(entry.thing)

    async def _let_go(self) -> None:
        idle = [key for key, entry in self._entries.items() if not entry.users]
        for key in idle[: max(len(idle) - self._idle_max, 0)]:
            await self._close(self._entries.pop(key).thing)
