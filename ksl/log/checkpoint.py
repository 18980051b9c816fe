"""The write-ahead log: how large it gets, and when it goes into the database file.

Only the writing connection does this: SQLite before 3.51.3 can corrupt a database when a second connection
checkpoints at the wrong moment.

The file is kept at its full size and written over, not truncated. Flushing a commit that only overwrites
costs 0.17 ms where one that makes the file longer costs 0.29 ms (its length must be flushed too); that is a
good part of a step. `journal_size_limit` cuts it back to `WAL_BYTES_MAX` when it starts anew, so its length
also tells when it is full.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

WAL_BYTES_MAX = 16 * 1024 * 1024
_STEP_BYTES = 1024 * 1024
_ROOM_TO_SPARE_BYTES = 1024 * 1024 * 1024


def checkpoint(connection: sqlite3.Connection, wal_path: str) -> int:
    """Moves what it can into the database without waiting for readers.

    Returns the length of the WAL beyond which to try again: 0 when all was moved.
    """
    _, logged, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if moved >= logged:
        return 0
    return os.stat(wal_path).st_size + _STEP_BYTES


def lay_out(path: Path) -> None:
    """Makes the WAL at its full length before SQLite opens the database.

    Zeros are no valid WAL header, so SQLite takes it for an empty one. A WAL that is there already belongs to
    a process that died: it is left alone. Nothing depends on this; without space it is not done.
    """
    wal = Path(f"{path}-wal")
    try:
        room = os.statvfs(path.parent)
        if room.f_bavail * room.f_frsize < _ROOM_TO_SPARE_BYTES:
            return
        handle = os.open(wal, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    except OSError:
        return
    try:
        zeros = bytes(_STEP_BYTES)
        for _ in range(WAL_BYTES_MAX // _STEP_BYTES):
            os.write(handle, zeros)
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)
