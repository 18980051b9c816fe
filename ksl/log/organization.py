"""The credentials of an organization: a small database of its own, shared by the projects of one user.

Several servers read and write it, so nothing of it is kept in memory, no connection stays open, and it has no WAL
that one of them would have to look after.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from ksl.errors import StoreUnopenable
from ksl.log import credentials
from ksl.log.batch import in_transaction
from ksl.log.credentials import Sealed
from ksl.log.mishaps import read_mishap, write_mishap
from ksl.records import CredentialChange

_BUSY_S = 5.0
_SCHEMA = Path(__file__).parent / "0004_credentials.sql"


class OrganizationFile:
    """`credentials.CredentialTables` in a file that need not be there: it is made by the first change."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def credentials(self) -> Sealed:
        return await asyncio.to_thread(self.read)

    async def change_credentials(self, change: CredentialChange) -> None:
        await asyncio.to_thread(self._write, change)

    def read(self) -> Sealed:
        try:
            if not self.path.exists():
                return Sealed()
        except PermissionError:
            return Sealed()  # a service that may not look into its user's home has no organization there
        try:
            with self._connection("ro") as connection:
                return credentials.read(connection)
        except sqlite3.Error as error:
            raise read_mishap(error, self.path) from error

    def _write(self, change: CredentialChange) -> None:
        self._make()
        try:
            with self._connection("rw") as connection:
                in_transaction(connection, lambda: self._change(connection, change))
        except sqlite3.Error as error:
            raise write_mishap(error, self.path) from error

    def _change(self, connection: sqlite3.Connection, change: CredentialChange) -> None:
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            for statement in _SCHEMA.read_text("utf-8").split(";\n"):
                connection.execute(statement)
        credentials.write(connection, change)

    def _make(self) -> None:
        """For its owner alone; SQLite's journal beside it takes the mode over."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
        except OSError as error:
            raise StoreUnopenable(
                f"{self.path}, where the organization's credentials are kept, cannot be written: {error.strerror}. "
                "Nothing was changed. Make its folder writable, or name another with KSL_HOME."
            ) from error

    @contextmanager
    def _connection(self, mode: str) -> Generator[sqlite3.Connection]:
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA synchronous = EXTRA")
            # What is removed or replaced must not be found in a free page later.
            connection.execute("PRAGMA secure_delete = ON")
            yield connection
