"""Deletes finished runs and everything that is theirs, a bounded piece at a time.

A run leaves with its row, so that nobody finds half of one; what is left of a long history goes in later
pieces. `meta` names the runs that such a rest belongs to, and a crash in between leaves nothing behind for ever.

The newest event of all is not deleted but emptied: its `id` is the end of the change feed, and SQLite would
give that number out again. A client that follows the feed would then pass over what is new.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from ksl.log.store import Pruned
from ksl.records import FINISHED

EVENTS_MAX = 2_000  # deleted in one transaction: as many as one batch may add

_FINISHED = ", ".join(f"'{status}'" for status in sorted(FINISHED))
# The plus keeps SQLite from taking the index of statuses, nearly all of which are finished ones.
_OLD = f"finished_at_ms < ? AND +status IN ({_FINISHED})"
OLD_RUNS = f"SELECT run_id, seq FROM run WHERE {_OLD} ORDER BY finished_at_ms LIMIT ?"
OLD_COUNT = f"SELECT count(*) FROM run WHERE {_OLD}"
_GIVEN = "(SELECT value FROM json_each(?))"
_EVENTS_OF = "SELECT id, data_blob, input_blob FROM event WHERE run_id = ? LIMIT ?"
_VERSIONS_OF = """
    SELECT DISTINCT workflow, code_version FROM run
    WHERE run_id IN (SELECT value FROM json_each(?)) AND code_version IS NOT NULL"""
_UNUSED_VERSION = """
    DELETE FROM code_version WHERE workflow = ?1 AND code_version = ?2
        AND NOT EXISTS (SELECT 1 FROM run WHERE workflow = ?1 AND code_version = ?2)"""
UNUSED_BLOB = """
    DELETE FROM blob WHERE hash = ?1
        AND NOT EXISTS (SELECT 1 FROM event WHERE data_blob = ?1)
        AND NOT EXISTS (SELECT 1 FROM event WHERE input_blob = ?1)"""
_EMPTY = """
    UPDATE event SET run_id = '', seq = 0, type = '', step = NULL, at_ms = 0, data = NULL, input = NULL,
        meta = NULL, data_blob = NULL, input_blob = NULL, crc = 0
    WHERE id = ?"""
_EMPTIED_BEFORE = "DELETE FROM event WHERE run_id = '' AND id < ?"
_REST = "pruned:"  # a key of `meta`: this, and the id of a run whose events are still to go


def prune(connection: sqlite3.Connection, before_ms: int, limit: int) -> Pruned:
    """One piece: at most `limit` runs that finished before the moment, oldest first. Inside a transaction."""
    newest: int = connection.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0]
    connection.execute(_EMPTIED_BEFORE, (newest,))
    left = EVENTS_MAX
    for (key,) in connection.execute(
        "SELECT key FROM meta WHERE key >= ? AND key < ?", (_REST, _REST[:-1] + ";")
    ).fetchall():
        left -= _delete_events(connection, key.removeprefix(_REST), left, newest)
        if left <= 0:
            return Pruned((), EVENTS_MAX - left, more=True)
        connection.execute("DELETE FROM meta WHERE key = ?", (key,))

    found: list[tuple[str, int]] = connection.execute(OLD_RUNS, (before_ms, limit)).fetchall()
    taken: list[str] = []
    for run_id, events in found:
        if taken and events > left:
            break
        taken.append(run_id)
        # One more than there should be: only a history that runs out within the limit is known to be gone.
        deleted = _delete_events(connection, run_id, left, newest)
        left -= deleted
        if left <= 0:
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, 1)", (_REST + run_id,))
            break
    ids = json.dumps(taken)
    versions = connection.execute(_VERSIONS_OF, (ids,)).fetchall()
    for table in ("hook", "link_visit", "link_use", "timer", "session_prompt", "run"):
        connection.execute(f"DELETE FROM {table} WHERE run_id IN {_GIVEN}", (ids,))
    for version in versions:
        connection.execute(_UNUSED_VERSION, version)
    more = len(taken) < len(found) or len(found) == limit or left <= 0
    return Pruned(tuple(taken), EVENTS_MAX - left, more=more)


def reclaim(connection: sqlite3.Connection, pages: int, keep_pages: int) -> bool:
    """Gives up to so many free pages back to the file system; True while more than `keep_pages` are left."""
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    if free <= keep_pages:
        return False
    # It frees a page a step and has no columns, so `execute` would stop after the first.
    connection.executescript(f"PRAGMA incremental_vacuum({min(pages, free - keep_pages)})")
    return free - pages > keep_pages


def _delete_events(connection: sqlite3.Connection, run_id: str, limit: int, newest: int) -> int:
    found: list[tuple[int, Any, Any]] = connection.execute(_EVENTS_OF, (run_id, limit)).fetchall()
    ids = [id for id, _, _ in found if id != newest]
    connection.execute(f"DELETE FROM event WHERE id IN {_GIVEN}", (json.dumps(ids),))
    if len(ids) < len(found):
        connection.execute("DELETE FROM event WHERE run_id = ''")
        connection.execute(_EMPTY, (newest,))
    _delete_blobs(connection, (hash for _, *hashes in found for hash in hashes if hash is not None))
    return len(found)


def _delete_blobs(connection: sqlite3.Connection, hashes: Iterable[bytes]) -> None:
    for hash in set(hashes):
        connection.execute(UNUSED_BLOB, (hash,))
