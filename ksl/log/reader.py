"""Questions put to the database: each one job on the reading connection, answered whole.

No cursor stays open across an await: a reader that does keeps the WAL from being started anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any, TypeVar

from ksl.errors import DamagedEvent
from ksl.log import rows
from ksl.log.connection import Link
from ksl.log.cursor import place
from ksl.log.mishaps import closed, read_mishap
from ksl.log.pruning import OLD_COUNT
from ksl.log.selection import RETRIES, retrying_of, where_of
from ksl.log.store import FeedRow, Page, Waits
from ksl.records import Activity, CodeRow, Event, HookRow, Retrying, RunFilter, RunRow, RunStatus, TimerRow

T = TypeVar("T")

EVENTS = f"SELECT {rows.EVENT_COLUMNS} FROM event WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?"
ENDS = f"""
    WITH asked (place, run) AS MATERIALIZED (SELECT key, value FROM json_each(?))
    SELECT run_id, {rows.EVENT_COLUMNS} FROM asked CROSS JOIN event
    WHERE run_id = run AND seq IN (
        (SELECT min(seq) FROM event WHERE run_id = run),
        (SELECT max(seq) FROM event WHERE run_id = run)
    )
    ORDER BY place, seq"""
FEED = f"SELECT id, run_id, {rows.EVENT_COLUMNS} FROM event WHERE id > ? AND seq > 0 ORDER BY id LIMIT ?"
FEED_END = "SELECT max(id) FROM event"
NEWEST_SEQ = "SELECT max(seq) FROM event WHERE run_id = ?"
RUN = f"SELECT {rows.RUN_COLUMNS} FROM run WHERE run_id = ?"
RUN_BY_KEY = (
    f"SELECT {rows.RUN_COLUMNS} FROM run WHERE workflow = ? AND idempotency_key = ? ORDER BY id LIMIT 1"
)
RUNS_IN = f"SELECT id, {rows.RUN_COLUMNS} FROM run WHERE status = ? ORDER BY id"
RUN_COUNTS = "SELECT status, count(*) FROM run GROUP BY status"
CODE = f"SELECT {rows.CODE_COLUMNS} FROM code_version WHERE workflow = ? AND code_version = ?"
CODE_WORKFLOWS = "SELECT DISTINCT workflow FROM code_version"
CODE_OF_NEWEST = f"""
    SELECT {rows.CODE_COLUMNS} FROM code_version WHERE workflow = ?1 AND code_version = (
        SELECT code_version FROM run WHERE workflow = ?1 AND code_version IS NOT NULL ORDER BY id DESC LIMIT 1)"""
ACTIVITY = """
    SELECT workflow, max(created_at_ms - ?1, 0) / ?2 AS place, status, count(*)
    FROM (SELECT workflow, status, created_at_ms FROM run
          WHERE created_at_ms >= ?1 ORDER BY created_at_ms DESC LIMIT ?3) AS newest
    GROUP BY workflow, place, status"""
HOOK = f"SELECT {rows.HOOK_COLUMNS} FROM hook WHERE token_hash = ?"
HOOKS = f"SELECT {rows.HOOK_COLUMNS} FROM hook ORDER BY id"
HOOKS_OPEN = f"SELECT {rows.HOOK_COLUMNS} FROM hook WHERE status = 'open' ORDER BY id"
HOOKS_OF_RUN = f"SELECT {rows.HOOK_COLUMNS} FROM hook WHERE run_id = ? ORDER BY id"
TIMERS = f"""
    SELECT {rows.TIMER_COLUMNS} FROM timer
    WHERE due_ms <= ? AND (due_ms, run_id, step, kind) > (?, ?, ?, ?)
    ORDER BY due_ms, run_id, step, kind LIMIT ?"""
WAITS = """
    SELECT (SELECT count(*) FROM hook WHERE status = 'open'),
           (SELECT count(*) FROM timer),
           (SELECT count(*) FROM timer WHERE due_ms <= ?)"""
NEXT_TIMER = "SELECT min(due_ms) FROM timer"


class Reader:
    """Sees what is committed when the question reaches the thread."""

    def __init__(self, link: Link, path: str) -> None:
        self._link = link
        self._path = path

    async def run(self, run_id: str) -> RunRow | None:
        row = await self._one(RUN, (run_id,))
        return None if row is None else rows.read_run(row)

    async def runs(self, where: RunFilter, *, cursor: str | None, limit: int) -> Page[RunRow]:
        before = place(cursor)

        def read(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            found: list[tuple[Any, ...]] = []
            # One walk a status, since each is in order by itself and SQLite would sort the union.
            for status in dict.fromkeys(where.statuses) or (None,):
                sql, values = runs_question(where, status)
                found += fetch(connection, sql, (*values, before, limit + 1))
            return found

        found = await self.ask(read)
        found.sort(key=lambda row: row[0], reverse=True)
        page = found[:limit]
        more = len(found) > limit and page
        return Page([rows.read_run(row[1:]) for row in page], str(page[-1][0]) if more else None)

    async def run_count(self, where: RunFilter, *, most: int) -> int:
        def read(connection: sqlite3.Connection) -> int:
            count = 0
            for status in dict.fromkeys(where.statuses) or (None,):
                condition, values = where_of(where, status)
                found = f"SELECT 1 FROM run WHERE {condition or 'TRUE'} LIMIT ?"
                count += fetch(connection, f"SELECT count(*) FROM ({found})", (*values, most - count))[0][0]
            return count

        return await self.ask(read)

    async def run_by_key(self, workflow: str, idempotency_key: str) -> RunRow | None:
        row = await self._one(RUN_BY_KEY, (workflow, idempotency_key))
        return None if row is None else rows.read_run(row)

    async def code(self, workflow: str, code_version: str) -> CodeRow | None:
        row = await self._one(CODE, (workflow, code_version))
        return None if row is None else CodeRow(*row)

    async def runs_in(self, statuses: Iterable[RunStatus]) -> list[RunRow]:
        wanted = [str(status) for status in dict.fromkeys(statuses)]

        def read(connection: sqlite3.Connection) -> list[RunRow]:
            found = [row for status in wanted for row in fetch(connection, RUNS_IN, (status,))]
            found.sort(key=lambda row: row[0])
            return [rows.read_run(row[1:]) for row in found]

        return await self.ask(read)

    async def run_counts(self) -> dict[RunStatus, int]:
        return {RunStatus(status): count for status, count in await self._all(RUN_COUNTS)}

    async def activity(self, since_ms: int, *, stretch_ms: int, most: int) -> list[Activity]:
        found = await self._all(ACTIVITY, (since_ms, stretch_ms, most))
        return [Activity(workflow, place, RunStatus(status), runs) for workflow, place, status, runs in found]

    async def codes_but(self, workflows: Sequence[str]) -> list[CodeRow]:
        def read(connection: sqlite3.Connection) -> list[CodeRow]:
            known = [name for (name,) in fetch(connection, CODE_WORKFLOWS, ())]
            gone = [name for name in known if name not in workflows]
            return [CodeRow(*row) for name in gone for row in fetch(connection, CODE_OF_NEWEST, (name,))]

        return await self.ask(read)

    async def events(self, run_id: str, *, after: int, limit: int | None) -> list[Event]:
        def read(connection: sqlite3.Connection) -> list[Event]:
            try:
                found = fetch(connection, EVENTS, (run_id, after, -1 if limit is None else limit))
                return rows.read_events(connection, run_id, found)
            except sqlite3.DatabaseError as error:
                if is_damage(error):
                    raise rows.damaged(run_id, 0, str(error)) from error
                raise

        return await self.ask(read)

    async def ends(self, run_ids: Sequence[str]) -> dict[str, tuple[Event, Event]]:
        def read(connection: sqlite3.Connection) -> dict[str, tuple[Event, Event]]:
            by_run: dict[str, list[tuple[Any, ...]]] = {}
            for run_id, *row in fetch(connection, ENDS, (json.dumps(list(run_ids)),)):
                by_run.setdefault(run_id, []).append(tuple(row))
            answer: dict[str, tuple[Event, Event]] = {}
            for run_id, found in by_run.items():
                try:
                    events = rows.read_events(connection, run_id, found)
                except DamagedEvent:
                    continue
                answer[run_id] = (events[0], events[-1])
            return answer

        return await self.ask(read)

    async def retries(self, run_ids: Sequence[str]) -> dict[str, Retrying]:
        found = await self._all(RETRIES, (json.dumps(list(run_ids)),))
        return {
            run_id: retrying_of(step, due_ms, rows.read_meta(meta)) for run_id, step, due_ms, meta in found
        }

    async def feed(self, after: int, *, limit: int) -> list[FeedRow]:
        def read(connection: sqlite3.Connection) -> list[FeedRow]:
            feed: list[FeedRow] = []
            position = after
            # A page with damaged events is filled up from the next, so that it does not look like the end.
            while len(feed) < limit:
                wanted = limit - len(feed)
                found = fetch(connection, FEED, (position, wanted))
                feed += undamaged(connection, found)
                if len(found) < wanted:
                    break
                position = found[-1][0]
            return feed

        return await self.ask(read)

    async def feed_end(self) -> int:
        row = await self._one(FEED_END)
        return 0 if row is None else row[0] or 0

    async def newest_seq(self, run_id: str) -> int:
        row = await self._one(NEWEST_SEQ, (run_id,))
        return 0 if row is None else row[0] or 0

    async def prunable(self, before_ms: int) -> int:
        row = await self._one(OLD_COUNT, (before_ms,))
        return 0 if row is None else row[0]

    async def hook(self, token_hash: bytes) -> HookRow | None:
        row = await self._one(HOOK, (token_hash,))
        return None if row is None else HookRow(*row)

    async def hooks(self, *, run_id: str | None, only_open: bool) -> list[HookRow]:
        if run_id is not None:
            found = [HookRow(*row) for row in await self._all(HOOKS_OF_RUN, (run_id,))]
            return [hook for hook in found if hook.status == "open" or not only_open]
        return [HookRow(*row) for row in await self._all(HOOKS_OPEN if only_open else HOOKS)]

    async def timers(self, *, until_ms: int, limit: int, after: TimerRow | None) -> list[TimerRow]:
        edge = (-1, "", "", "") if after is None else rows.timer_key(after)
        return [TimerRow(*row) for row in await self._all(TIMERS, (until_ms, *edge, limit))]

    async def next_timer_ms(self) -> int | None:
        row = await self._one(NEXT_TIMER)
        return None if row is None else row[0]

    async def waits(self, now_ms: int) -> Waits:
        row = await self._one(WAITS, (now_ms,))
        return Waits(*(row or (0, 0, 0)))

    async def _one(self, sql: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
        found = await self._all(sql, values)
        return found[0] if found else None

    async def _all(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return await self.ask(lambda connection: fetch(connection, sql, values))

    async def ask(self, job: Callable[[sqlite3.Connection], T]) -> T:
        if self._link.closed:
            raise closed(self._path)
        try:
            return await self._link.ask(job)
        except sqlite3.Error as error:
            raise read_mishap(error, self._path) from error


def fetch(connection: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    # Closed by name: a cursor that failed is kept alive by the traceback, and with it the read transaction.
    with closing(connection.execute(sql, values)) as cursor:
        return cursor.fetchall()


def runs_question(where: RunFilter, status: RunStatus | None) -> tuple[str, tuple[Any, ...]]:
    """The statement, which ends in `id < ? ... LIMIT ?`, and the values that come before those two."""
    condition, values = where_of(where, status)
    condition = f"{condition} AND id < ?" if condition else "id < ?"
    sql = f"SELECT id, {rows.RUN_COLUMNS} FROM run WHERE {condition} ORDER BY id DESC LIMIT ?"
    return sql, tuple(values)


def undamaged(connection: sqlite3.Connection, found: list[tuple[Any, ...]]) -> list[FeedRow]:
    feed: list[FeedRow] = []
    for rowid, run_id, *row in found:
        try:
            feed.append(FeedRow(rowid, rows.read_events(connection, run_id, (tuple(row),))[0]))
        except DamagedEvent:
            continue
    return feed


def is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_CORRUPT or "decode to UTF-8" in str(error)
