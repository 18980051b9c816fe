"""What is in a database whose process is dead, read from a copy: looking must not mend what the next life finds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

FRAME_BYTES = 24 + 4096


class Row(NamedTuple):
    """An event, without what a reader need not compare."""

    run_id: str
    seq: int
    type: str
    step: str | None
    at_ms: int
    data: str | None


class Stored(NamedTuple):
    events: list[Row]  # in the order of their commits
    runs: list[tuple[str, str, str]]  # id, workflow, status
    is_sound: bool  # as PRAGMA integrity_check says
    wal_bytes: int


def stored(database: Path) -> Stored:
    wal = Path(f"{database}-wal")
    wal_bytes = wal.stat().st_size if wal.exists() else 0
    if not database.exists():
        return Stored([], [], True, wal_bytes)
    copy = database.parent.parent / "copy.db"
    copy.write_bytes(database.read_bytes())
    copied_wal = Path(f"{copy}-wal")
    if wal_bytes:
        # The file is laid out at its full length; zeros at its end are no frames.
        used = wal.read_bytes().rstrip(b"\0")
        copied_wal.write_bytes(used + bytes(FRAME_BYTES if used else 0))
    with closing(sqlite3.connect(copy)) as connection:
        is_sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not {"event", "run"} <= tables:
            return Stored([], [], is_sound, wal_bytes)
        events = connection.execute("SELECT run_id, seq, type, step, at_ms, data FROM event ORDER BY id")
        runs = connection.execute("SELECT run_id, workflow, status FROM run ORDER BY id")
        found = Stored([Row(*row) for row in events], list(runs), is_sound, wal_bytes)
    for path in (copy, copied_wal, Path(f"{copy}-shm")):
        path.unlink(missing_ok=True)
    return found
