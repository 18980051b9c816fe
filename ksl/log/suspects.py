"""Which runs were under way when a process died, and how often in a row.

The database says from its opening to its closing that it is open. Found open, the last process died; every
run it was advancing is a suspect. Progress (any newer event) between two deaths starts the count anew.
"""

from __future__ import annotations

import sqlite3

from ksl.records import RunStatus

_COUNT_DEATHS = """
    UPDATE run SET
        deaths = CASE WHEN death_seq = newest.seq THEN deaths + 1 ELSE 1 END,
        death_seq = newest.seq
    FROM (
        SELECT id, coalesce((SELECT max(seq) FROM event WHERE event.run_id = run.run_id), 0) AS seq
        FROM run WHERE status = ?
    ) AS newest
    WHERE run.id = newest.id"""


def mark_open(connection: sqlite3.Connection, boot: str) -> dict[str, int]:
    """Runs the last process may have died of, with the number of deaths; empty when it closed cleanly."""
    running = str(RunStatus.RUNNING)
    suspects: dict[str, int] = {}
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = connection.execute("SELECT value FROM meta WHERE key = 'clean'").fetchone()
        if found is not None and not found[0]:
            connection.execute(_COUNT_DEATHS, (running,))
            suspects = dict(
                connection.execute("SELECT run_id, deaths FROM run WHERE status = ? ORDER BY id", (running,))
            )
        _put(connection, "clean", 0)
        _put(connection, "boot", boot)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return suspects


def acquit(connection: sqlite3.Connection, run_id: str) -> None:
    connection.execute("UPDATE run SET deaths = 0, death_seq = -1 WHERE run_id = ?", (run_id,))


def mark_closed(connection: sqlite3.Connection) -> None:
    _put(connection, "clean", 1)


def _put(connection: sqlite3.Connection, key: str, value: int | str) -> None:
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))
