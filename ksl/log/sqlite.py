"""The log in one SQLite file: one connection writes, one reads, each on its own thread."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ksl.errors import KslError, StoreFailed
from ksl.log import pruning, sizes
from ksl.log.batch import in_transaction
from ksl.log.connection import Link, LogConnection
from ksl.log.credentials import StoredCredentials
from ksl.log.mishaps import read_mishap
from ksl.log.opening import Durability, open_reader, open_writer
from ksl.log.reader import Reader
from ksl.log.sessions import StoredSessions
from ksl.log.store import Change, FeedRow, Page, Pruned, StoreSize, StoreStats, Waits
from ksl.log.suspects import acquit, mark_closed
from ksl.log.trigger_reader import TriggerReader
from ksl.log.visits import StoredVisits
from ksl.log.writer import Writer
from ksl.records import Activity, CodeRow, Event, HookRow, Retrying, RunFilter, RunRow, RunStatus, TimerRow


class SqliteStore:
    """See `ksl.log.store.Store`. Belongs to the loop it was opened on.

    Always close it: its threads are not daemons, and a process that forgets does not end.
    """

    def __init__(
        self, path: Path, reading: Link, writing: Link | None, writer: Writer | None, suspects: dict[str, int]
    ) -> None:
        self._path = path
        self._reading = reading
        self._writing = writing
        self._writer = writer
        self._reader = Reader(reading, str(path))
        self.triggers = TriggerReader(self._reader, None if writer is None else writer.ask)
        self.credentials = StoredCredentials(self._reader.ask, None if writer is None else writer.ask)
        self.sessions = StoredSessions(self._reader.ask, None if writer is None else writer.ask)
        self.visits = StoredVisits(self._reader.ask, None if writer is None else writer.ask)
        self._suspects = suspects
        self._closed = False
        # The hot path of the product: the writer's own method, without a call in between.
        self.append: Callable[[Change], None] = self._refuse if writer is None else writer.append

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        durability: Durability = "full",
        clock: Callable[[], float] = time.perf_counter,
        boot: str = "",
    ) -> SqliteStore:
        """Makes the file and its folder where missing. The caller holds the folder's lock (`FolderLock`).

        `durability`: "full" flushes every commit to the disk; "process" leaves that to the operating system,
        so that acknowledged changes survive the death of the process but not that of the machine.
        `clock` gives seconds, for measuring only. `boot` names this process in `meta`.
        Errors: StoreUnopenable, StoreBusy, SchemaTooNew.
        """
        writing, suspects = await open_writer(path, durability=durability, boot=boot)
        try:
            reading = await open_reader(path)
        except BaseException:
            await writing.close()
            raise
        writer = Writer(writing, path, inline=durability == "process", clock=clock)
        return cls(path, reading, writing, writer, suspects)

    @classmethod
    async def open_reader(cls, path: Path) -> SqliteStore:
        """For a command that only reads while no server runs: changes nothing, and `append` raises."""
        return cls(path, await open_reader(path), None, None, {})

    @property
    def failed(self) -> asyncio.Future[KslError]:
        """Never done where the log was opened for reading only."""
        if self._writer is None:
            return asyncio.get_running_loop().create_future()
        return self._writer.failed

    @property
    def _writes(self) -> Writer:
        if self._writer is None:
            raise RuntimeError(f"{self._path} was opened for reading only")
        return self._writer

    def _refuse(self, _change: Change) -> None:
        raise RuntimeError(f"{self._path} was opened for reading only")

    async def flush(self) -> None:
        if self._writer is not None:
            await self._writer.flush()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        unharmed = await self._writer.stop() if self._writer is not None else False
        await self._reading.close()
        if self._writing is not None:
            try:
                if unharmed:
                    await self._writing.ask(_finish)
            finally:
                await self._writing.close()

    def wake_on_commit(self, callback: Callable[[], None]) -> Callable[[], None]:
        return self._writes.wake_on_commit(callback)

    async def suspects(self) -> dict[str, int]:
        return dict(self._suspects)

    async def acquit(self, run_id: str) -> None:
        await self._writes.ask(lambda connection: acquit(connection, run_id))

    async def run(self, run_id: str) -> RunRow | None:
        return await self._reader.run(run_id)

    async def runs(self, where: RunFilter, *, cursor: str | None = None, limit: int = 100) -> Page[RunRow]:
        return await self._reader.runs(where, cursor=cursor, limit=limit)

    async def run_count(self, where: RunFilter, *, most: int) -> int:
        return await self._reader.run_count(where, most=most)

    async def run_by_key(self, workflow: str, idempotency_key: str) -> RunRow | None:
        return await self._reader.run_by_key(workflow, idempotency_key)

    async def code(self, workflow: str, code_version: str) -> CodeRow | None:
        return await self._reader.code(workflow, code_version)

    async def runs_in(self, statuses: Iterable[RunStatus]) -> list[RunRow]:
        return await self._reader.runs_in(statuses)

    async def run_counts(self) -> dict[RunStatus, int]:
        return await self._reader.run_counts()

    async def activity(self, since_ms: int, *, stretch_ms: int, most: int) -> list[Activity]:
        return await self._reader.activity(since_ms, stretch_ms=stretch_ms, most=most)

    async def codes_but(self, workflows: Sequence[str]) -> list[CodeRow]:
        return await self._reader.codes_but(workflows)

    async def events(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[Event]:
        return await self._reader.events(run_id, after=after, limit=limit)

    async def ends(self, run_ids: Sequence[str]) -> dict[str, tuple[Event, Event]]:
        return await self._reader.ends(run_ids)

    async def retries(self, run_ids: Sequence[str]) -> dict[str, Retrying]:
        return await self._reader.retries(run_ids)

    async def newest_seq(self, run_id: str) -> int:
        return await self._reader.newest_seq(run_id)

    async def feed(self, after: int, *, limit: int = 1000) -> list[FeedRow]:
        return await self._reader.feed(after, limit=limit)

    async def feed_end(self) -> int:
        return await self._reader.feed_end()

    async def hook(self, token_hash: bytes) -> HookRow | None:
        return await self._reader.hook(token_hash)

    async def hooks(self, *, run_id: str | None = None, only_open: bool = True) -> list[HookRow]:
        return await self._reader.hooks(run_id=run_id, only_open=only_open)

    async def timers(self, *, until_ms: int, limit: int, after: TimerRow | None = None) -> list[TimerRow]:
        return await self._reader.timers(until_ms=until_ms, limit=limit, after=after)

    async def next_timer_ms(self) -> int | None:
        return await self._reader.next_timer_ms()

    async def waits(self, now_ms: int) -> Waits:
        return await self._reader.waits(now_ms)

    async def stats(self) -> StoreStats:
        writer = self._writer
        return StoreStats(
            batches=writer.batches if writer else 0,
            events=writer.events if writer else 0,
            pending=writer.pending if writer else 0,
            commit_seconds=writer.latency.cumulative() if writer else (),
            commit_seconds_sum=writer.latency.sum_s if writer else 0.0,
            database_bytes=sizes.file_bytes(self._path),
            wal_bytes=sizes.file_bytes(f"{self._path}-wal"),
        )

    async def prune(self, before_ms: int, *, limit: int) -> Pruned:
        writes = self._writes

        def piece(connection: LogConnection) -> Pruned:
            return in_transaction(connection, lambda: pruning.prune(connection, before_ms, limit))

        return await writes.ask(piece, then=lambda pruned: writes.forget(pruned.run_ids))

    async def prunable(self, before_ms: int) -> int:
        return await self._reader.prunable(before_ms)

    async def reclaim(self, *, pages: int, keep_pages: int) -> bool:
        return await self._writes.ask(lambda connection: pruning.reclaim(connection, pages, keep_pages))

    async def size(self) -> StoreSize:
        # A connection of its own: counting takes seconds where there is much, and others have questions too.
        link = await open_reader(self._path)
        try:
            return await link.ask(lambda connection: sizes.measure(connection, self._path))
        except sqlite3.Error as error:
            raise read_mishap(error, self._path) from error
        finally:
            await link.close()


def _finish(connection: LogConnection) -> None:
    try:
        mark_closed(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        raise StoreFailed(f"closing the log failed: {error}. Everything acknowledged is stored.") from error
