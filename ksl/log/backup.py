"""The database copied into one file, and the way back.

A backup is an SQLite database like the one it was made of, with one table more: `backup` says when and by what it
was made, and holds the key file of hook links, without which every link that is out would die. So whoever has a
backup can answer hooks: it is made for its owner alone (mode 0600), and says nothing of the server's token.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from ksl.errors import BadBackup, KslError, StoreFull, StoreUnopenable
from ksl.log import migrations
from ksl.log.audit import damaged_events
from ksl.log.mishaps import write_mishap

_TABLE = "CREATE TABLE backup (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID"
_ROOM_TO_SPARE_BYTES = 64 << 20  # left for the runs that go on meanwhile


class BackupFacts(msgspec.Struct, frozen=True):
    made_at: str  # RFC 3339; empty for a plain copy of a database
    version: str  # of the ksl that made it
    runs: int
    events: int
    damaged: tuple[str, ...]  # events whose checksum was wrong already; their runs only are held
    hook_keys: bytes


def write_backup(
    source: Path, target: Path, *, hook_keys: bytes, made_at: str, version: str, beside_server: bool = False
) -> None:
    """Copies one moment of `source`, also while a server writes to it, to the new file `target`.

    Blocks for as long as the copy takes. Errors: StoreFull where it finds no room (`beside_server`: or would leave
    next to none); StoreUnopenable. No file is left then.
    """
    size = os.stat(source).st_size
    room = os.statvfs(target.parent)
    if beside_server and room.f_bavail * room.f_frsize < size + _ROOM_TO_SPARE_BYTES:
        raise StoreFull(
            f"a copy of {source} takes {size:,} bytes beside it, and the disk has too little space for that. No "
            "backup was made; the server goes on. Make space, or stop the server and back up to another disk."
        )
    with _new_file(target), _connection(source, "ro") as live, _connection(target, "rw") as copy:
        try:
            live.backup(copy)
            # One file with no WAL beside it, closed in order: what restores it did not die of one of its runs.
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()
            copy.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('clean', 1)")
            copy.execute(_TABLE)
            copy.executemany(
                "INSERT INTO backup (key, value) VALUES (?, ?)",
                [("made_at", made_at), ("version", version), ("hook_keys", hook_keys)],
            )
            copy.commit()
        except sqlite3.Error as error:
            raise _mishap(error, target) from error


def check_backup(path: Path) -> BackupFacts:
    """Reads all of it. Errors: BadBackup for a file that is damaged or is none; SchemaTooNew."""
    if not path.is_file():
        raise BadBackup(f"{path} is not a file. Nothing was changed.")
    try:
        with _connection(path, "ro") as connection:
            migrations.check(connection, path)
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
            if found != ["ok"]:
                raise _damaged(path, "; ".join(found))
            told = dict[str, str | bytes]()
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'backup'").fetchone():
                told = dict(connection.execute("SELECT key, value FROM backup").fetchall())
            runs = connection.execute("SELECT count(*) FROM run").fetchone()[0]
            events = connection.execute("SELECT count(*) FROM event WHERE seq > 0").fetchone()[0]
            damaged = tuple(f"run {error.run_id}, event {error.seq}" for error in damaged_events(connection))
    except sqlite3.Error as error:
        raise _damaged(path, str(error)) from error
    except StoreUnopenable as error:
        raise BadBackup(str(error)) from error
    keys = told.get("hook_keys", b"")
    return BackupFacts(
        made_at=str(told.get("made_at", "")),
        version=str(told.get("version", "")),
        runs=runs,
        events=events,
        damaged=damaged,
        hook_keys=keys if isinstance(keys, bytes) else keys.encode(),
    )


def unpack_backup(path: Path, target: Path) -> None:
    """Makes the new file `target` the database that the backup was made of. Errors as `write_backup`."""
    with _new_file(target), _connection(path, "ro") as backup, _connection(target, "rw") as fresh:
        try:
            backup.backup(fresh)
            fresh.execute("DROP TABLE IF EXISTS backup")
            fresh.commit()
            found = fresh.execute("PRAGMA integrity_check(5)").fetchall()
        except sqlite3.Error as error:
            raise _mishap(error, target) from error
        if found != [("ok",)]:
            raise _damaged(target, str(found))


def put_in_place(fresh: Path, database: Path, aside: Path) -> None:
    """`fresh` becomes the database, whose folder the caller holds; the old one is `aside` then, if there was one.

    At every moment one of the two lies at `database` with no WAL that is not its own.
    """
    if database.exists():
        _empty_wal(database)
        for suffix in ("", "-wal"):
            if (old := Path(f"{database}{suffix}")).exists():
                os.link(old, f"{aside}{suffix}")
    for suffix in ("-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    fresh.replace(database)
    sync_folder(database.parent)


def sync_folder(folder: Path) -> None:
    """A rename is on the disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _empty_wal(database: Path) -> None:
    """Moves the WAL into the database, where it can: a WAL left behind by itself would belong to nothing."""
    try:
        with _connection(database, "rw") as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error:
        pass  # it may be the damage that a backup is restored for; both files are kept as they are


@contextmanager
def _connection(path: Path, mode: str) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        yield connection


@contextmanager
def _new_file(path: Path) -> Generator[None]:
    """Made empty for its owner alone, and removed again when the block raises."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise StoreUnopenable(f"{path} cannot be made: {error.strerror}. Nothing was changed.") from error
    try:
        yield
    except BaseException:
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        raise


def _mishap(error: sqlite3.Error, path: Path) -> KslError:
    mishap = write_mishap(error, path)
    if isinstance(mishap, StoreFull):
        return StoreFull(
            f"the disk of {path} has no space for the copy. It was removed; nothing else was changed."
        )
    return StoreUnopenable(
        f"The database could not be copied to {path}: {error}. The copy was removed; nothing else was changed. "
        "`ksl doctor` looks at the database."
    )


def _damaged(path: Path, how: str) -> BadBackup:
    return BadBackup(
        f"{path} is damaged or is no backup of ksl: {how[:300]}. Nothing was changed. Take an older backup."
    )
