"""How large the database is, and with what."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ksl.log.store import StoreSize, WorkflowSize

_ROWS = {
    "event": "SELECT count(*) FROM event WHERE seq > 0",  # the one that pruning emptied is none
    "blob": "SELECT count(*) FROM blob",
    "run": "SELECT count(*) FROM run",
    "hook": "SELECT count(*) FROM hook",
    "timer": "SELECT count(*) FROM timer",
    "firing": "SELECT count(*) FROM firing",
    "fired_key": "SELECT count(*) FROM fired_key",
}
_WORKFLOWS_MAX = 10
# `seq` of a run's row lags behind while it goes on; counting its events would read the whole log.
_BIGGEST = (
    "SELECT workflow, count(*), sum(seq) AS events FROM run GROUP BY workflow ORDER BY events DESC, 1 LIMIT ?"
)


def measure(connection: sqlite3.Connection, path: Path) -> StoreSize:
    def number(sql: str) -> int:
        return int(connection.execute(sql).fetchone()[0])

    return StoreSize(
        database_bytes=file_bytes(path),
        wal_bytes=file_bytes(f"{path}-wal"),
        free_bytes=number("PRAGMA freelist_count") * number("PRAGMA page_size"),
        rows={table: number(sql) for table, sql in _ROWS.items()},
        workflows=[WorkflowSize(*row) for row in connection.execute(_BIGGEST, (_WORKFLOWS_MAX,)).fetchall()],
    )


def file_bytes(path: Path | str) -> int:
    # stat, never open: closing any descriptor of the database would drop this process's locks on it.
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
