"""Finished runs, and firings, are kept so long and no longer.

Deleting goes in small transactions with pauses between, so that a commit of a run waits for one of them at most.
The file then gives its free pages back, but for a few that the next runs take up at once.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from ksl.errors import BadRequest, KslError
from ksl.log.checkpoint import WAL_BYTES_MAX
from ksl.log.store import Store

FIRINGS_MAX = 500  # and keys, deleted in one transaction
RUNS_MAX = 200  # deleted in one transaction
PAGES_MAX = 1_000  # given back in one transaction: 4 MiB
SPARE_PAGES = 1_024  # left for reuse: to cut and to lengthen the file every minute is work for nothing
PAUSE_S = 0.02
LOOK_S = 30.0
# Deleting writes to the WAL too. While a reader keeps that from being moved into the database, it can wait.
_WAL_BYTES_MAX = 2 * WAL_BYTES_MAX


class Clock(Protocol):
    def now_ms(self) -> int: ...


class Deleted(msgspec.Struct, frozen=True):
    runs: int  # or, asked what would be deleted, so many
    before_ms: int


class RetentionLoop:
    """Deletes runs that finished longer than `keep_s` ago and firings as old; 0 keeps for ever."""

    def __init__(self, *, store: Store, clock: Clock, keep_s: float) -> None:
        self._store = store
        self._clock = clock
        self._keep_ms = round(keep_s * 1000)
        self._reclaiming = False

    async def run(self) -> None:
        while True:
            try:
                goes_on = await self.once(self._clock.now_ms())
            except KslError:
                goes_on = False  # the disk is full or somebody locks it: others say so, and this can wait
            await asyncio.sleep(PAUSE_S if goes_on else LOOK_S)

    async def once(self, now_ms: int) -> bool:
        """One piece of the work; True while there is more. Errors: those of `Store.prune`."""
        if (await self._store.stats()).wal_bytes > _WAL_BYTES_MAX:
            return False
        if self._reclaiming:
            self._reclaiming = await self._store.reclaim(pages=PAGES_MAX, keep_pages=SPARE_PAGES)
            return self._reclaiming
        # Keys of deliveries expire by themselves, also where runs and firings are kept for ever.
        before_ms = now_ms - self._keep_ms if self._keep_ms else 0
        if await self._store.triggers.prune(before_ms, now_ms=now_ms, limit=FIRINGS_MAX):
            return True
        if not self._keep_ms:
            return False
        pruned = await self._store.prune(before_ms, limit=RUNS_MAX)
        self._reclaiming = bool(pruned.events) and not pruned.more
        return pruned.more or self._reclaiming


async def prune(
    store: Store, older_than_s: float | None, *, keep_s: float, now_ms: int, dry_run: bool = False
) -> Deleted:
    """All of it now, for a person who asked, down to the last free page. Others' commits go between.

    `older_than_s` None: as the setting `keep_s` says. Errors: BadRequest where that keeps for ever.
    """
    if older_than_s is None:
        if not keep_s:
            raise BadRequest(
                "retention.finished_runs is 0, which keeps finished runs for ever. Say how old they must be with "
                "--older-than (older_than over HTTP). Nothing was deleted."
            )
        older_than_s = keep_s
    before_ms = now_ms - round(older_than_s * 1000)
    if dry_run:
        return Deleted(await store.prunable(before_ms), before_ms)
    while await store.triggers.prune(before_ms, now_ms=now_ms, limit=FIRINGS_MAX):
        pass
    runs = 0
    while True:
        pruned = await store.prune(before_ms, limit=RUNS_MAX)
        runs += len(pruned.run_ids)
        if not pruned.more:
            break
    while await store.reclaim(pages=PAGES_MAX, keep_pages=0):
        pass
    return Deleted(runs, before_ms)
