"""One transaction: the changes of many runs as a handful of statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from ksl.errors import KeyTaken
from ksl.log import rows, trigger_tables
from ksl.log.store import Change
from ksl.log.trigger_rows import TriggerRows
from ksl.records import CodeRow, HookRow, RunRow, TimerRow

T = TypeVar("T")

EVENTS_MAX = 2_000
BYTES_MAX = 1024 * 1024

# Rows to a statement, the most first. Each statement hands the GIL back and forth once, so fewer of them is what
# lets a batch through while the loop is at work; beyond 64 rows SQLite itself gets slower.
_ROWS_A_STATEMENT = (64, 8)
_EVENT_INSERTS = {n: rows.event_insert(n) for n in (*_ROWS_A_STATEMENT, 1)}
_RUN_UPSERTS = {n: rows.run_upsert(n) for n in (*_ROWS_A_STATEMENT, 1)}


def fits(changes: Sequence[Change]) -> int:
    """How many of these changes, from the first, make one batch. At least one, however large."""
    events = size = 0
    for count, change in enumerate(changes):
        events += len(change.events)
        for event in change.events:
            if event.data is not None:
                size += len(event.data)
            if event.input is not None:
                size += len(event.input)
        if (events > EVENTS_MAX or size > BYTES_MAX) and count:
            return count
    return len(changes)


def transact(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Stores all of them or, raising what sqlite3 raised, none."""
    in_transaction(connection, lambda: _write(connection.cursor(), changes))


def transact_singly(connection: sqlite3.Connection, changes: Sequence[Change]) -> dict[int, Exception]:
    """After a batch that SQLite refused for its content: each change by itself, still in one transaction.

    Returns those refused by index, with the reason. Once a change of a run is refused its later ones are
    too, since its history would have a gap.
    """
    refused: dict[int, Exception] = {}
    runs: dict[str, Exception] = {}

    def each() -> None:
        cursor = connection.cursor()
        for index, change in enumerate(changes):
            if change.run_id in runs:
                refused[index] = runs[change.run_id]
                continue
            cursor.execute("SAVEPOINT change")
            try:
                _write(cursor, (change,))
            except CONTENT_ERRORS as error:
                cursor.execute("ROLLBACK TO change")
                refused[index] = runs[change.run_id] = error
            cursor.execute("RELEASE change")

    in_transaction(connection, each)
    return refused


# What a change itself can be at fault for: a `seq` or key that is taken, an integer beyond 64 bits, a surrogate.
CONTENT_ERRORS = (
    KeyTaken,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    TypeError,
    ValueError,
)


def in_transaction(connection: sqlite3.Connection, work: Callable[[], T]) -> T:
    cursor = connection.cursor()
    cursor.execute("BEGIN IMMEDIATE")
    try:
        result = work()
        cursor.execute("COMMIT")
        return result
    except BaseException:
        if connection.in_transaction:
            cursor.execute("ROLLBACK")
        raise


def _write(cursor: sqlite3.Cursor, changes: Sequence[Change]) -> None:
    events: list[tuple[Any, ...]] = []
    blobs: list[rows.Blob] = []
    runs: dict[str, RunRow] = {}
    timers: dict[rows.TimerKey, TimerRow | None] = {}
    hooks: dict[bytes, HookRow] = {}
    codes: dict[tuple[str, str], CodeRow] = {}
    triggers: list[TriggerRows] = []
    event_row = rows.event_row
    for change in changes:
        for event in change.events:
            events.append(event_row(event, blobs))
        if change.run is not None:
            runs[change.run.run_id] = change.run
        for timer in change.timers_cleared:
            timers[rows.timer_key(timer)] = None
        for timer in change.timers_set:
            timers[rows.timer_key(timer)] = timer
        for hook in change.hooks:
            hooks[hook.token_hash] = hook
        for code in change.codes:
            codes[code.workflow, code.code_version] = code
        if change.triggers is not None:
            triggers.append(change.triggers)
            runs.update({run.run_id: run for run in change.triggers.runs})
    for added in triggers:
        trigger_tables.write(cursor, added)
    if codes:
        cursor.executemany(rows.CODE_INSERT, [msgspec.structs.astuple(code) for code in codes.values()])
    if blobs:
        cursor.executemany(rows.BLOB_INSERT, blobs)
    _store_rows(cursor, _EVENT_INSERTS, events)
    if runs:
        _store_rows(cursor, _RUN_UPSERTS, [rows.run_row(run) for run in runs.values()])
    if timers:
        _write_timers(cursor, timers)
    if hooks:
        cursor.executemany(rows.HOOK_UPSERT, [rows.hook_row(hook) for hook in hooks.values()])


def _store_rows(cursor: sqlite3.Cursor, sql: dict[int, str], values: Sequence[Sequence[Any]]) -> None:
    """Each row by the statement of `sql` (rows to a statement -> its text) that takes the most of those left."""
    start, left = 0, len(values)
    for size in _ROWS_A_STATEMENT:
        while left >= size:
            cursor.execute(sql[size], [value for row in values[start : start + size] for value in row])
            start += size
            left -= size
    if left:
        cursor.executemany(sql[1], values[start:])


def _write_timers(cursor: sqlite3.Cursor, timers: dict[rows.TimerKey, TimerRow | None]) -> None:
    cleared = [key for key, timer in timers.items() if timer is None]
    if cleared:
        cursor.executemany(rows.TIMER_CLEAR, cleared)
    armed = [msgspec.structs.astuple(timer) for timer in timers.values() if timer is not None]
    if armed:
        cursor.executemany(rows.TIMER_SET, armed)
