"""Which prompts sessions consist of, in a database or in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from ksl.log.batch import in_transaction
from ksl.log.connection import LogConnection
from ksl.records.session import PromptRow


class SessionTable(Protocol):
    """Errors: those of a `Store`."""

    async def add(self, prompts: Sequence[PromptRow]) -> list[PromptRow]:
        """Stores prompts and returns them as they are stored; one whose run and step are known already stays as it
        is. Returns after the commit."""
        ...

    async def prompts(self, session_id: str) -> list[PromptRow]:
        """Of one session, oldest first."""
        ...

    async def newest(
        self, *, agent: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[PromptRow]:
        """The newest prompt of each session, newest first; `before` an id."""
        ...


class StoredSessions:
    """`SessionTable` of a store. `ask` puts a question to its reading connection, `write` work to the writing one;
    None where it was opened for reading only."""

    def __init__(
        self,
        ask: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        write: Callable[[Callable[[LogConnection], Any]], Awaitable[Any]] | None,
    ) -> None:
        self._ask = ask
        self._write = write

    async def add(self, prompts: Sequence[PromptRow]) -> list[PromptRow]:
        if self._write is None:
            raise RuntimeError("the store was opened for reading only")

        def work(connection: LogConnection) -> list[PromptRow]:
            return in_transaction(connection, lambda: [_added(connection, prompt) for prompt in prompts])

        return await self._write(work)

    async def prompts(self, session_id: str) -> list[PromptRow]:
        return await self._ask(lambda connection: _rows(connection.execute(_OF_SESSION, (session_id,))))

    async def newest(
        self, *, agent: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[PromptRow]:
        values = (agent, before, limit)
        return await self._ask(lambda connection: _rows(connection.execute(_NEWEST, values)))


class MemorySessions:
    """`SessionTable` without a file."""

    def __init__(self) -> None:
        self._rows: list[PromptRow] = []

    async def add(self, prompts: Sequence[PromptRow]) -> list[PromptRow]:
        return [self._add(prompt) for prompt in prompts]

    async def prompts(self, session_id: str) -> list[PromptRow]:
        return [row for row in self._rows if row.session_id == session_id]

    async def newest(
        self, *, agent: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[PromptRow]:
        latest = {row.session_id: row for row in self._rows}
        found = sorted(latest.values(), key=lambda row: row.id, reverse=True)
        return [row for row in found if agent in (None, row.agent) and (before is None or row.id < before)][
            :limit
        ]

    def _add(self, prompt: PromptRow) -> PromptRow:
        for row in self._rows:
            if (row.run_id, row.step) == (prompt.run_id, prompt.step):
                return row
        row = replace(prompt, id=len(self._rows) + 1)
        self._rows.append(row)
        return row


_COLUMNS = "session_id, agent, run_id, step, parent, at_ms"
_ADD = f"INSERT OR IGNORE INTO session_prompt ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
_SAME = f"SELECT {_COLUMNS}, id FROM session_prompt WHERE run_id = ? AND step = ?"
_OF_SESSION = f"SELECT {_COLUMNS}, id FROM session_prompt WHERE session_id = ? ORDER BY id"
_NEWEST = f"""
    SELECT {_COLUMNS}, id FROM session_prompt AS one
    WHERE (?1 IS NULL OR agent = ?1) AND (?2 IS NULL OR id < ?2)
        AND NOT EXISTS (SELECT 1 FROM session_prompt WHERE session_id = one.session_id AND id > one.id)
    ORDER BY id DESC LIMIT ?3"""


def _added(connection: sqlite3.Connection, prompt: PromptRow) -> PromptRow:
    connection.execute(_ADD, msgspec.structs.astuple(prompt)[:-1])
    return _rows(connection.execute(_SAME, (prompt.run_id, prompt.step)))[0]


def _rows(cursor: sqlite3.Cursor) -> list[PromptRow]:
    return [PromptRow(*row) for row in cursor.fetchall()]
