"""Tells followers of a run that it has new events.

Every commit wakes whoever asked the store to be woken, and most commits are about other runs. With a hundred
streams open, a hundred readings of the log for each commit cost more than the commits; here it is one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from ksl.errors import KslError
from ksl.log.store import Store

Callback = Callable[[], None]

_PAGE = 1000

_log = logging.getLogger("ksl.api")


class Feed:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._followers: dict[str, set[Callback]] = {}
        self._reading: asyncio.Task[None] | None = None  # only while there are followers

    def wake_for(self, run_id: str) -> Callable[[Callback], Callback]:
        """Like `Store.wake_on_commit`, for events of one run; sometimes there are none after all."""

        def wake(callback: Callback) -> Callback:
            self._followers.setdefault(run_id, set()).add(callback)
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            return lambda: self._forget(run_id, callback)

        return wake

    def _forget(self, run_id: str, callback: Callback) -> None:
        followers = self._followers.get(run_id, set())
        followers.discard(callback)
        if not followers:
            self._followers.pop(run_id, None)
        if not self._followers and self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _read(self) -> None:
        woken = asyncio.Event()
        unsubscribe = self._store.wake_on_commit(woken.set)
        try:
            after = await self._store.feed_end()
            # What was stored between a follower's coming and here is behind `after`; it looks for itself.
            self._wake(list(self._followers))
            while True:
                woken.clear()
                rows = await self._store.feed(after, limit=_PAGE)
                if rows:
                    after = rows[-1].rowid
                    self._wake({row.event.run_id for row in rows})
                else:
                    await woken.wait()
        except KslError:
            # A row that cannot be read must not silence the streams of other runs: from now on each looks
            # for itself after every commit, and meets the error if it is about its own run.
            _log.exception("the change feed cannot be read; streams go on without it")
            while True:
                self._wake(list(self._followers))
                woken.clear()
                await woken.wait()
        finally:
            unsubscribe()

    def _wake(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            for callback in self._followers.get(run_id, ()):
                callback()
