"""What SQLite's errors mean for those who wait for an answer."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ksl.errors import ChangeRefused, KslError, StoreBusy, StoreFailed, StoreFull, UnknownRun

# Beside SQLITE_FULL: a full disk while the WAL's index grows, and file systems with quotas.
_PERHAPS_FULL = {sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE}
_NEXT_TO_NOTHING_BYTES = 1024 * 1024


def write_mishap(error: Exception, path: Path) -> KslError:
    """StoreFull and StoreBusy pass by themselves; StoreFailed does not."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_FULL or (code in _PERHAPS_FULL and _disk_is_full(path)):
        return StoreFull(
            f"no space left on the disk of {path}. What was just asked was not stored and has not happened;"
            " everything acknowledged before is safe. Work resumes by itself when there is space."
        )
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(
            f"another program keeps {path} locked. What was just asked was not stored. Close the program that"
            " writes to the database (a sqlite3 shell, a backup) and ask again."
        )
    return StoreFailed(
        f"writing to {path} failed: {error}. What was under way was not stored; everything acknowledged"
        " before is. ksl stops, since what the disk holds can no longer be told. Check the disk, then start"
        " again."
    )


def read_mishap(error: sqlite3.Error, path: Path | str) -> KslError:
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"another program keeps {path} locked. Close it, or ask again in a while.")
    return StoreFailed(
        f"reading {path} failed: {error}. Nothing was changed. Check the disk; if the file is damaged,"
        " restore it from a backup."
    )


def refused(error: Exception, run_id: str) -> KslError:
    if isinstance(error, KslError):
        return error
    return ChangeRefused(
        f"run {run_id}: the log refused a change: {error}. Nothing of it was stored; other runs are not"
        " affected. This is a mistake in ksl: please report it."
    )


def gone(run_id: str) -> UnknownRun:
    return UnknownRun(
        f"run {run_id} had finished and was deleted at this moment, by retention or `ksl prune`. What was just"
        " asked of it was not stored."
    )


def closed(path: Path | str) -> StoreFailed:
    return StoreFailed(f"{path} is closed. What was asked after that was not stored.")


def _disk_is_full(path: Path) -> bool:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _NEXT_TO_NOTHING_BYTES
