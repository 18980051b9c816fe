"""The tables of credentials, in a project's database and in the file of the organization."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ksl.log.batch import in_transaction
from ksl.log.connection import LogConnection
from ksl.records import CredentialChange, CredentialPlace, CredentialRow


class Sealed(msgspec.Struct, frozen=True):
    """Everything there is, in the order of name, scope, user and field."""

    rows: tuple[CredentialRow, ...] = ()
    checks: tuple[tuple[str, bytes], ...] = ()  # (key id, what only this key opens)


class CredentialTables(Protocol):
    """Where sealed credentials are kept. Errors: those of a `Store`."""

    async def credentials(self) -> Sealed: ...

    async def change_credentials(self, change: CredentialChange) -> None:
        """Returns after the commit."""
        ...


class StoredCredentials:
    """`CredentialTables` of a store. `ask` puts a question to its reading connection, `write` work to the writing
    one; None where it was opened for reading only."""

    def __init__(
        self,
        ask: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        write: Callable[[Callable[[LogConnection], Any]], Awaitable[Any]] | None,
    ) -> None:
        self._ask = ask
        self._write = write

    async def credentials(self) -> Sealed:
        return await self._ask(read)

    async def change_credentials(self, change: CredentialChange) -> None:
        if self._write is None:
            raise RuntimeError("the store was opened for reading only")
        await self._write(lambda connection: in_transaction(connection, lambda: write(connection, change)))


class MemoryCredentials:
    """`CredentialTables` without a file."""

    def __init__(self) -> None:
        self._sealed = Sealed()

    async def credentials(self) -> Sealed:
        return self._sealed

    async def change_credentials(self, change: CredentialChange) -> None:
        self._sealed = changed(self._sealed, change)


_COLUMNS = 'name, scope, "user", field, key_id, sealed, secret, set_at_ms'
_ALL = f'SELECT {_COLUMNS} FROM credential ORDER BY name, scope, "user", field'
_CHECKS = "SELECT key_id, proof FROM credential_key ORDER BY key_id"
_PUT = f"INSERT OR REPLACE INTO credential ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_GONE = 'DELETE FROM credential WHERE name = ? AND scope = ? AND "user" = ?'
_CHECK = "INSERT OR IGNORE INTO credential_key (key_id, proof) VALUES (?, ?)"
_UNUSED = "DELETE FROM credential_key WHERE key_id NOT IN (SELECT key_id FROM credential)"


def read(connection: sqlite3.Connection) -> Sealed:
    """Of a database that an older ksl made: nothing."""
    found = "SELECT count(*) FROM sqlite_schema WHERE name IN ('credential', 'credential_key')"
    if connection.execute(found).fetchone()[0] != 2:
        return Sealed()
    rows = connection.execute(_ALL).fetchall()
    return Sealed(
        rows=tuple(CredentialRow(*row[:6], secret=bool(row[6]), set_at_ms=row[7]) for row in rows),
        checks=tuple(connection.execute(_CHECKS).fetchall()),
    )


def stored_in(path: Path) -> Sealed:
    """Of a database that nobody has opened yet; it stays as it is. What keeps it from being read is told by whoever
    opens it."""
    if not path.is_file() or not path.stat().st_size:
        return Sealed()
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return read(connection)
    except sqlite3.Error:
        return Sealed()


def write(connection: sqlite3.Connection, change: CredentialChange) -> None:
    """Inside a transaction."""
    cursor = connection.cursor()
    for place in change.gone:
        cursor.execute(_GONE, (place.name, place.scope, place.user))
    for row in change.put:
        cursor.execute(_PUT, msgspec.structs.astuple(row))
    for check in change.checks:
        cursor.execute(_CHECK, check)
    cursor.execute(_UNUSED)


def changed(sealed: Sealed, change: CredentialChange) -> Sealed:
    """The same, where there is no database."""
    rows = {_key(row): row for row in sealed.rows if _place(row) not in change.gone}
    rows |= {_key(row): row for row in change.put}
    used = {row.key_id for row in rows.values()}
    checks = {**dict(change.checks), **dict(sealed.checks)}
    return Sealed(
        rows=tuple(rows[key] for key in sorted(rows)),
        checks=tuple(sorted((key_id, proof) for key_id, proof in checks.items() if key_id in used)),
    )


def places(sealed: Sealed) -> Iterator[tuple[CredentialPlace, list[CredentialRow]]]:
    """The rows of one credential together."""
    together: dict[CredentialPlace, list[CredentialRow]] = {}
    for row in sealed.rows:
        together.setdefault(_place(row), []).append(row)
    yield from together.items()


def _place(row: CredentialRow) -> CredentialPlace:
    return CredentialPlace(row.name, row.scope, row.user)


def _key(row: CredentialRow) -> tuple[str, str, str, str]:
    return (row.name, row.scope, row.user, row.field)
