"""Who used the links of hooks, in a database or in memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from ksl.log.batch import in_transaction
from ksl.log.connection import LogConnection
from ksl.records.link_visit import LinkUse, LinkVisit

KEPT = 300  # visits of one hook; answers are kept beyond


class VisitTable(Protocol):
    """Errors: those of a `Store`."""

    async def add(self, uses: Sequence[LinkUse]) -> None:
        """Adds what each counts and the visits in it, in one transaction. Those of runs that are gone are dropped.
        Returns after the commit."""
        ...

    async def of(self, run_ids: Sequence[str]) -> list[LinkUse]:
        """Of the hooks of these runs, those whose link was ever used."""
        ...


class StoredVisits:
    """`VisitTable` of a store. `ask` puts a question to its reading connection, `write` work to the writing one;
    None where it was opened for reading only."""

    def __init__(
        self,
        ask: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        write: Callable[[Callable[[LogConnection], Any]], Awaitable[Any]] | None,
    ) -> None:
        self._ask = ask
        self._write = write

    async def add(self, uses: Sequence[LinkUse]) -> None:
        if self._write is None:
            raise RuntimeError("the store was opened for reading only")

        def work(connection: LogConnection) -> None:
            in_transaction(connection, lambda: _add(connection, uses))

        await self._write(work)

    async def of(self, run_ids: Sequence[str]) -> list[LinkUse]:
        given = (json.dumps(list(run_ids)),)

        def work(connection: sqlite3.Connection) -> list[LinkUse]:
            visits: dict[tuple[str, str], list[LinkVisit]] = {}
            for run_id, step, at_ms, method, status, answered, *who in connection.execute(_VISITS, given):
                visit = LinkVisit(run_id, step, at_ms, method, status, bool(answered), *who)
                visits.setdefault((run_id, step), []).append(visit)
            return [
                LinkUse(*row, visits=tuple(visits.get((row[0], row[1]), ())))
                for row in connection.execute(_USES, given)
            ]

        return await self._ask(work)


class MemoryVisits:
    """`VisitTable` without a file. `known`: whether a run is there."""

    def __init__(self, known: Callable[[str], bool]) -> None:
        self._known = known
        self._uses: dict[tuple[str, str], LinkUse] = {}

    async def add(self, uses: Sequence[LinkUse]) -> None:
        for use in uses:
            if self._known(use.run_id):
                key = (use.run_id, use.step)
                before = self._uses.get(key)
                kept = _kept(use, 0 if before is None else _total(before))
                self._uses[key] = replace(
                    joined(before, use), visits=(*(before.visits if before else ()), *kept)
                )

    async def of(self, run_ids: Sequence[str]) -> list[LinkUse]:
        return [use for use in self._uses.values() if use.run_id in run_ids and self._known(use.run_id)]


def joined(before: LinkUse | None, more: LinkUse) -> LinkUse:
    """Both together."""
    if before is None:
        return more
    return LinkUse(
        more.run_id,
        more.step,
        before.looked + more.looked,
        before.opened + more.opened,
        before.sent + more.sent,
        before.answered + more.answered,
        (*before.visits, *more.visits),
    )


def _total(use: LinkUse) -> int:
    return use.looked + use.opened + use.sent


def _kept(use: LinkUse, before: int) -> Iterable[LinkVisit]:
    room = max(KEPT - before, 0)
    return [visit for place, visit in enumerate(use.visits) if place < room or visit.answered]


def _add(connection: sqlite3.Connection, uses: Sequence[LinkUse]) -> None:
    for use in uses:
        if connection.execute(_KNOWN, (use.run_id, use.step)).fetchone() is None:
            continue
        counted = connection.execute(_COUNTED, (use.run_id, use.step)).fetchone()
        before = 0 if counted is None else int(counted[0])
        connection.execute(_COUNT, msgspec.structs.astuple(use)[:-1])
        connection.cursor().executemany(
            _KEEP, [msgspec.structs.astuple(visit) for visit in _kept(use, before)]
        )


_GIVEN = "(SELECT value FROM json_each(?))"
_VISIT = "run_id, step, at_ms, method, status, answered, address, agent"
_VISITS = f"SELECT {_VISIT} FROM link_visit WHERE run_id IN {_GIVEN} ORDER BY id"
_USES = f"SELECT run_id, step, looked, opened, sent, answered FROM link_use WHERE run_id IN {_GIVEN}"
_KNOWN = "SELECT 1 FROM hook WHERE run_id = ? AND step = ?"
_COUNTED = "SELECT looked + opened + sent FROM link_use WHERE run_id = ? AND step = ?"
_COUNT = """
    INSERT INTO link_use (run_id, step, looked, opened, sent, answered) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (run_id, step) DO UPDATE SET
        looked = looked + excluded.looked, opened = opened + excluded.opened,
        sent = sent + excluded.sent, answered = answered + excluded.answered"""
_KEEP = f"INSERT INTO link_visit ({_VISIT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
