"""`TriggerLog` over the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ksl.log import rows
from ksl.log import trigger_tables as tables
from ksl.log.batch import in_transaction
from ksl.log.connection import LogConnection
from ksl.log.cursor import place
from ksl.log.reader import Reader, fetch
from ksl.log.store import Page
from ksl.records import FiredKey, FiringRow, Recipient, RunRow, SourceState, SubscriptionRow, Switch, Verdict

# `Writer.ask`: work between two batches.
Ask = Callable[[Callable[[LogConnection], bool]], Awaitable[bool]]


class TriggerReader:
    """See `ksl.log.trigger_log.TriggerLog`. `write` None: opened for reading only."""

    def __init__(self, reader: Reader, write: Ask | None) -> None:
        self._reader = reader
        self._write = write

    async def firing(self, firing_id: str) -> FiringRow | None:
        found = await self._all(tables.FIRING, (firing_id,))
        return tables.read_firing(found[0]) if found else None

    async def firings(
        self, source: str, *, verdict: Verdict | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[FiringRow]:
        before = place(cursor)
        if verdict is None:
            found = await self._all(tables.FIRINGS, (source, before, limit + 1))
        else:
            found = await self._all(tables.FIRINGS_OF_VERDICT, (source, verdict, before, limit + 1))
        page = found[:limit]
        more = len(found) > limit and page
        return Page([tables.read_firing(row[1:]) for row in page], str(page[-1][0]) if more else None)

    async def newest_firings(self, sources: Sequence[str], *, limit: int) -> dict[str, list[FiringRow]]:
        def read(connection: sqlite3.Connection) -> dict[str, list[FiringRow]]:
            asked = (place(None), limit)
            return {
                source: [
                    tables.read_firing(row[1:])
                    for row in fetch(connection, tables.FIRINGS_BRIEF, (source, *asked))
                ]
                for source in sources
            }

        return await self._reader.ask(read)

    async def keys(self, source: str, keys: Sequence[str], *, now_ms: int) -> dict[str, FiredKey]:
        found = await self._all(tables.KEYS, tables.asked_keys(source, keys, now_ms))
        return {key.key: key for key in map(tables.read_key, found)}

    async def states(self) -> dict[str, SourceState]:
        found = await self._all(tables.STATES)
        return {state.source: state for state in map(tables.read_state, found)}

    async def disabled(self) -> list[Switch]:
        return [tables.read_switch(row) for row in await self._all(tables.DISABLED)]

    async def subscriptions(self) -> list[SubscriptionRow]:
        return [tables.read_subscription(row) for row in await self._all(tables.SUBSCRIPTIONS)]

    async def refusals(self) -> dict[str, int]:
        return dict(await self._all(tables.REFUSALS))

    async def unfinished(self, source: str, recipient: Recipient) -> list[RunRow]:
        found = await self._all(tables.UNFINISHED, tables.asked_unfinished(source, recipient))
        return [rows.read_run(row) for row in found]

    async def prune(self, before_ms: int, *, now_ms: int, limit: int) -> bool:
        if self._write is None:
            raise RuntimeError("the log was opened for reading only")

        def piece(connection: LogConnection) -> bool:
            return in_transaction(connection, lambda: tables.prune(connection, before_ms, now_ms, limit))

        return await self._write(piece)

    async def _all(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return await self._reader.ask(lambda connection: fetch(connection, sql, values))
