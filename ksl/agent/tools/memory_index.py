"""Finding text in an agent's memory. The files are the truth; what is here is made from them, and again when lost.

Its SQL stays out of the log: nothing of a run depends on it, and it may be deleted at any time.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock

import msgspec

from ksl.agent.tool_set import ToolError
from ksl.agent.tools.files import text_of
from ksl.agent.tools.folder import Folder

_WORD = re.compile(r"\w+")
_WORDS_MAX = 32
_TABLES = """
CREATE TABLE IF NOT EXISTS file (path TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS piece USING fts5(path UNINDEXED, text, tokenize = 'unicode61 remove_diacritics 2');
"""
_locks: dict[Path, Lock] = {}


class Found(msgspec.Struct, frozen=True):
    path: str
    text: str  # a paragraph


class MemoryIndex:
    """`place` is the index's own file, `folder` what it is of."""

    def __init__(self, place: Path, folder: Folder) -> None:
        self._place = place
        self._folder = folder
        self._lock = _locks.setdefault(place, Lock())

    def search(self, query: str, *, limit: int) -> list[Found]:
        """Paragraphs with any of the query's words, best first."""
        words = _WORD.findall(query)[:_WORDS_MAX]
        if not words:
            return []
        with self._lock:
            try:
                return self._search(words, limit)
            except sqlite3.DatabaseError:
                # Damaged, or of another version. It is made anew.
                self._place.unlink(missing_ok=True)
                return self._search(words, limit)

    def _search(self, words: list[str], limit: int) -> list[Found]:
        self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with closing(sqlite3.connect(self._place)) as database, database:
            database.executescript(_TABLES)
            self._follow(database)
            rows = database.execute(
                "SELECT path, text FROM piece WHERE piece MATCH ? ORDER BY rank LIMIT ?",
                (" OR ".join(f'"{word}"' for word in words), limit),
            )
            return [Found(path, text) for path, text in rows]

    def _follow(self, database: sqlite3.Connection) -> None:
        """Whoever changed the files, and whenever. They are few and small, so they are compared whole."""
        known = dict(database.execute("SELECT path, text FROM file"))
        there = dict(_texts(self._folder))
        for path in known.keys() - there.keys():
            database.execute("DELETE FROM piece WHERE path = ?", (path,))
            database.execute("DELETE FROM file WHERE path = ?", (path,))
        for path, text in there.items():
            if known.get(path) != text:
                database.execute("DELETE FROM piece WHERE path = ?", (path,))
                pieces = [(path, piece.strip()) for piece in re.split(r"\n\s*\n", text) if piece.strip()]
                database.executemany("INSERT INTO piece (path, text) VALUES (?, ?)", pieces)
                database.execute("INSERT OR REPLACE INTO file (path, text) VALUES (?, ?)", (path, text))


def _texts(folder: Folder) -> Iterator[tuple[str, str]]:
    for each in folder.walk():
        if each.is_file and each.path.endswith(".md"):
            try:
                yield each.path, text_of(folder, each.path)
            except ToolError:
                continue  # no text, or gone
