"""From a path to connections that may be used, or one sentence why not."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ksl.errors import KslError, StoreBusy, StoreUnopenable
from ksl.log import migrations
from ksl.log.checkpoint import WAL_BYTES_MAX, lay_out
from ksl.log.connection import BUSY_TIMEOUT_S, Link, LogConnection
from ksl.log.suspects import mark_open

Durability = Literal["full", "process"]

# While opening: a database that somebody else writes to is told of at once, and nobody waits for a commit yet.
OPENING_BUSY_S = 1.0


async def open_writer(path: Path, *, durability: Durability, boot: str) -> tuple[Link, dict[str, int]]:
    """The connection that writes, and the suspects of the last process's death (`Store.suspects`)."""
    suspects: dict[str, int] = {}

    def prepare(connection: LogConnection) -> None:
        _set_common(connection)
        version = migrations.check(connection, path)
        if version == 0:
            # Both must be set before the first table, and auto_vacuum before the file is in WAL mode.
            connection.execute("PRAGMA page_size = 4096")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _require_wal(connection, path)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        connection.execute("PRAGMA cache_size = -16384")
        connection.execute("PRAGMA synchronous = FULL")
        migrations.migrate(connection, version)
        suspects.update(mark_open(connection, boot))
        if durability == "process":
            connection.execute("PRAGMA synchronous = NORMAL")
        _be_patient(connection)

    is_new = _make_file(path)
    if durability == "full":
        if is_new:
            # SQLite deletes a WAL that it finds beside an empty database.
            await (await _open(path, "rw", prepare)).close()
            suspects.clear()
        lay_out(path)
    return await _open(path, "rw", prepare), suspects


async def open_reader(path: Path) -> Link:
    """A connection that cannot write. Errors: StoreUnopenable where there is no database."""

    def prepare(connection: LogConnection) -> None:
        _set_common(connection)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA cache_size = -8192")
        if migrations.check(connection, path) != len(migrations.scripts()):
            raise StoreUnopenable(
                f"{path} was made by an older ksl. Start `ksl serve` once: it brings the database up to date."
            )
        _be_patient(connection)

    if not path.is_file():
        raise _unopenable(path, "is not a file" if path.exists() else "does not exist")
    return await _open(path, "ro", prepare)


def _set_common(connection: LogConnection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(min(BUSY_TIMEOUT_S, OPENING_BUSY_S) * 1000)}")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute("PRAGMA temp_store = MEMORY")


def _be_patient(connection: LogConnection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")


def _require_wal(connection: LogConnection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise _unopenable(path, f"cannot use a write-ahead log there (SQLite answers {mode!r})")


def _make_file(path: Path) -> bool:
    """True if it was not there. Its -wal and -shm files take over the mode, which SQLite would make 0644."""
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unopenable(folder, f"cannot be made: {_said(error)}") from error
    if path.is_dir():
        raise _unopenable(path, "is a folder, not a database file")
    try:
        is_new = not path.exists()
        if is_new:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise _unopenable(path, f"cannot be made: {_said(error)}") from error
    for place in (folder, path):
        if not os.access(place, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise _unopenable(place, f"cannot be written to: {_why_not(place)}")
    return is_new


async def _open(path: Path, mode: str, prepare: Callable[[LogConnection], None]) -> Link:
    try:
        return await Link.open(path, mode=mode, prepare=prepare)
    except sqlite3.Error as error:
        raise _translated(error, path) from error


def _translated(error: sqlite3.Error, path: Path) -> KslError:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB:
            return _unopenable(path, "is not an SQLite database, or its header is damaged")
        case sqlite3.SQLITE_CORRUPT:
            return _unopenable(path, f"is damaged ({error}); restore it from a backup")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusy(f"another program keeps {path} locked. Close it and try again.")
        case sqlite3.SQLITE_FULL:
            return _unopenable(path, "is on a disk without space")
        case _:
            return _unopenable(path, f"cannot be opened: {error}")


def _unopenable(path: Path, cause: str) -> StoreUnopenable:
    return StoreUnopenable(
        f"{path} {cause}. Nothing was changed. Put that right, or set another `store.path` in ksl.toml."
    )


def _why_not(place: Path) -> str:
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return "the file system is read-only"
    return f"permission denied for user {os.geteuid()}"


def _said(error: OSError) -> str:
    if error.errno == errno.EROFS:
        return "the file system is read-only"
    return (error.strerror or str(error)).lower()
