"""Brings a database to this version's schema: numbered SQL files, each once, all in one transaction."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path

from ksl.errors import SchemaTooNew, StoreUnopenable

APPLICATION_ID = 0x6B736C31  # "ksl1"
_FOLDER = Path(__file__).parent


@cache
def scripts() -> tuple[str, ...]:
    """The migrations in order; the first takes an empty database to version 1."""
    files = sorted(_FOLDER.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return tuple(file.read_text("utf-8") for file in files)


def check(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version found, 0 for an empty database. Errors: StoreUnopenable, SchemaTooNew."""
    owner = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    tables = _number(connection, "SELECT count(*) FROM sqlite_schema")
    if owner != APPLICATION_ID and (owner or version or tables):
        raise StoreUnopenable(
            f"{path} is an SQLite database of another program. Nothing was changed. Set another `store.path`"
            " in ksl.toml, or move the file away."
        )
    if version > len(scripts()):
        raise SchemaTooNew(
            f"{path} has schema version {version}, and this ksl knows {len(scripts())}: it was written by a"
            " newer ksl. Nothing was changed. Install that version again."
        )
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    if version == len(scripts()):
        return
    steps = "\n".join(scripts()[version:])
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{steps}\nPRAGMA application_id = {APPLICATION_ID};\n"
            f"PRAGMA user_version = {len(scripts())};\nCOMMIT;"
        )
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])
