"""Which prompts sessions consist of, in a database or in memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from ksl.log.batch import in_transaction
from ksl.log.connection import LogConnection
from ksl.log.rows import read_meta
from ksl.records import Event
from ksl.records.model_use import NO_USE, ModelUse
from ksl.records.session import PromptRow

ENDS = ("step_completed", "step_failed", "step_cancelled")


class PromptState(msgspec.Struct, frozen=True):
    """`ended`: the type of the event that ended the agent's step; None while there is none. `use`: by its recorded
    turns, with those of agents that are its tools."""

    ended: str | None
    use: ModelUse


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

    async def of(self, session_ids: Sequence[str]) -> dict[str, list[PromptRow]]:
        """Of each of these sessions, oldest first."""
        ...

    async def states(self, prompts: Sequence[PromptRow]) -> list[PromptState]:
        """What became of each, without reading what was said."""
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

    async def of(self, session_ids: Sequence[str]) -> dict[str, list[PromptRow]]:
        asked = json.dumps(list(session_ids))
        return _by_session(
            await self._ask(lambda connection: _rows(connection.execute(_OF_SESSIONS, (asked,))))
        )

    async def states(self, prompts: Sequence[PromptRow]) -> list[PromptState]:
        asked = json.dumps([[prompt.run_id, prompt.step] for prompt in prompts])

        def read(connection: sqlite3.Connection) -> list[PromptState]:
            found: list[list[_Light]] = [list[_Light]() for _ in prompts]
            for place, type, step, meta in connection.execute(_STATES, (asked,)):
                known = read_meta(meta)
                found[int(place)].append(_Light(type, step, None if known is None else known.model_use))
            return [_state(prompt, events) for prompt, events in zip(prompts, found, strict=True)]

        return await self._ask(read)


class MemorySessions:
    """`SessionTable` without a file."""

    def __init__(self, events: Callable[[str], Iterable[Event]]) -> None:
        self._added: list[PromptRow] = []
        self._events = events  # of a run

    @property
    def _rows(self) -> list[PromptRow]:
        """Without those whose runs were deleted."""
        return [row for row in self._added if self._events(row.run_id)]

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

    async def of(self, session_ids: Sequence[str]) -> dict[str, list[PromptRow]]:
        return _by_session([row for row in self._rows if row.session_id in session_ids])

    async def states(self, prompts: Sequence[PromptRow]) -> list[PromptState]:
        return [_state(prompt, self._light(prompt)) for prompt in prompts]

    def _light(self, prompt: PromptRow) -> list[_Light]:
        return [
            _Light(event.type, event.step, None if event.meta is None else event.meta.model_use)
            for event in self._events(prompt.run_id)
            if event.step is not None
            and event.type in ENDS
            and f"{event.step}/".startswith(f"{prompt.step}/")
        ]

    def _add(self, prompt: PromptRow) -> PromptRow:
        for row in self._added:
            if (row.run_id, row.step) == (prompt.run_id, prompt.step):
                return row
        row = replace(prompt, id=len(self._added) + 1)
        self._added.append(row)
        return row


_COLUMNS = "session_id, agent, run_id, step, parent, at_ms"
_ADD = f"INSERT OR IGNORE INTO session_prompt ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
_SAME = f"SELECT {_COLUMNS}, id FROM session_prompt WHERE run_id = ? AND step = ?"
_OF_SESSION = f"SELECT {_COLUMNS}, id FROM session_prompt WHERE session_id = ? ORDER BY id"
_OF_SESSIONS = f"""
    SELECT {_COLUMNS}, id FROM session_prompt
    WHERE session_id IN (SELECT value FROM json_each(?)) ORDER BY id"""
_STATES = f"""
    WITH asked (place, run, agent) AS MATERIALIZED (
        SELECT key, value ->> 0, value ->> 1 FROM json_each(?)
    )
    SELECT place, type, step, CAST(meta AS BLOB) FROM asked CROSS JOIN event
    WHERE run_id = run AND type IN ({", ".join(f"'{type}'" for type in ENDS)}) AND (
        step = agent OR (instr(meta, '"model_use"') AND substr(step, 1, length(agent) + 1) = agent || '/')
    )
    ORDER BY place, seq"""
_NEWEST = f"""
    SELECT {_COLUMNS}, id FROM session_prompt AS one
    WHERE (?1 IS NULL OR agent = ?1) AND (?2 IS NULL OR id < ?2)
        AND NOT EXISTS (SELECT 1 FROM session_prompt WHERE session_id = one.session_id AND id > one.id)
    ORDER BY id DESC LIMIT ?3"""


def _added(connection: sqlite3.Connection, prompt: PromptRow) -> PromptRow:
    connection.execute(_ADD, msgspec.structs.astuple(prompt)[:-1])
    return _rows(connection.execute(_SAME, (prompt.run_id, prompt.step)))[0]


class _Light(msgspec.Struct):
    """As much of an event as a state takes."""

    type: str
    step: str | None
    use: ModelUse | None


def _state(prompt: PromptRow, events: list[_Light]) -> PromptState:
    ended: str | None = None
    use = NO_USE
    for event in events:
        if event.step == prompt.step:
            ended = event.type
        elif event.type == "step_completed" and event.use is not None:
            use = use.plus(event.use)
    return PromptState(ended, use)


def _by_session(rows: Iterable[PromptRow]) -> dict[str, list[PromptRow]]:
    found: dict[str, list[PromptRow]] = {}
    for row in rows:
        found.setdefault(row.session_id, []).append(row)
    return found


def _rows(cursor: sqlite3.Cursor) -> list[PromptRow]:
    return [PromptRow(*row) for row in cursor.fetchall()]
