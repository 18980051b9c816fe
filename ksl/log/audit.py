"""Every event of the log against its checksum."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec

from ksl.errors import DamagedEvent
from ksl.log import rows
from ksl.log.reader import fetch

_PAGE = 2_000
_EVENTS = f"SELECT id, run_id, {rows.EVENT_COLUMNS} FROM event WHERE id > ? AND seq > 0 ORDER BY id LIMIT ?"


def damaged_events(connection: sqlite3.Connection) -> Iterator[DamagedEvent]:
    """One for each event that is not what was stored, in order of storing. Reads the whole log.

    Errors: sqlite3.DatabaseError where not even the rows can be read.
    """
    # Bytes that are no text are damage like any other, and must not keep the next rows from being read.
    connection.text_factory = _text
    after = 0
    while page := fetch(connection, _EVENTS, (after, _PAGE)):
        for _, run_id, *row in page:
            try:
                rows.read_events(connection, run_id, (tuple(row),))
            except DamagedEvent as error:
                yield error
            except (ValueError, msgspec.MsgspecError) as error:
                yield rows.damaged(run_id, row[0], str(error))
        after = page[-1][0]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
