"""A SQLite connection on its own thread, where a whole job costs one trip there and back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

import aiosqlite

from ksl.log.lending import Lender

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0


class LogConnection(sqlite3.Connection):
    """`executemany` takes jobs instead of rows: functions of the connection, called in turn.

    It is the one method that aiosqlite hands to the thread in a single step, so a job (a transaction, a
    question with all its rows) is one step too. Three steps for BEGIN, INSERT and COMMIT halve the rate of
    a lone writer, and a COMMIT queued behind a failed INSERT would commit half a batch.
    """

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        for job in parameters:
            job(self)
        return self.cursor()


class Link:
    """`raw` may be used on the loop's thread only while no job is under way."""

    def __init__(self, db: aiosqlite.Connection, raw: LogConnection, loop: asyncio.AbstractEventLoop) -> None:
        self._db = db
        self.raw = raw
        self._loop = loop
        self._lender = Lender(loop)
        self.closed = False

    @classmethod
    async def open(cls, path: Path, *, mode: str, prepare: Callable[[LogConnection], None]) -> Link:
        """`mode` is that of an SQLite URI: rw or ro. Errors: what sqlite3 raises."""
        made: list[LogConnection] = []
        failures: list[Exception] = []

        def factory(*args: Any, **kwargs: Any) -> LogConnection:
            # After a factory that raises, aiosqlite leaves its thread to end by itself, perhaps after the
            # loop has: so a failure is kept, and the connection closed in the ordinary way.
            try:
                made.append(LogConnection(*args, **kwargs))
                prepare(made[0])
            except Exception as error:
                failures.append(error)
            return made[0] if made else LogConnection(":memory:")

        db = await aiosqlite.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            factory=factory,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_S,
            check_same_thread=False,
            cached_statements=256,
        )
        if failures:
            await db.close()
            raise failures[0]
        return cls(db, made[0], asyncio.get_running_loop())

    async def ask(self, job: Callable[[LogConnection], T]) -> T:
        """The job's result, or what it raised."""
        answer: list[T] = []

        def asked(connection: LogConnection) -> None:
            try:
                answer.append(job(connection))
            finally:
                self._lender.finished()

        self._lender.sent()
        await self._db.executemany("", cast("Any", (asked,)))
        return answer[0]

    def send(self, job: Callable[[LogConnection], None], done: Callable[[], None]) -> None:
        """Calls `done` on the loop, outside any task, after the job. The job must not raise.

        `done` is called before the loop learns of the end by any other way, so it is the earliest moment.
        """

        def sent(connection: LogConnection) -> None:
            try:
                job(connection)
            finally:
                self._lender.finished()
                self._loop.call_soon_threadsafe(done)

        self._lender.sent()
        # Driven by hand up to where it waits: a task would cost a turn of the loop before the job starts,
        # and its end is of no interest since `done` has told already.
        trip = self._db.executemany("", cast("Any", (sent,))).__await__()
        next(trip)

    async def close(self) -> None:
        self.closed = True
        self._lender.stop()
        await self._db.close()
