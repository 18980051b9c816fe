"""Counting changed lines per file from what `git log --numstat` prints."""

from __future__ import annotations

from pydantic import BaseModel

from actions.git import readable


class FileChurn(BaseModel):
    path: str  # today's name, where the file was renamed
    commits: int
    added: int  # lines; 0 for binary files
    removed: int


class ChurnCount:
    """Reads `git log -z --numstat --format=%x01%H`, newest commit first, a record at a time.

    A record is a commit, "added<TAB>removed<TAB>path", or after an empty path one of the two names of a
    rename. The names are told by their place alone, since a file name may hold anything but NUL. A commit at
    the edge of a shallow clone looks as if it had added every file, so what it lists is not counted.
    """

    def __init__(self, boundary: frozenset[str] = frozenset()) -> None:
        self.files: dict[str, FileChurn] = {}
        self._boundary = boundary
        self._skipping = False
        self._lines: tuple[int, int] | None = None  # of a rename whose names come next
        self._old_name: str | None = None
        self._today: dict[str, str] = {}  # a former name -> the name the file has now

    def take(self, record: bytes) -> None:
        if self._lines is not None:
            self._take_name(readable(record))
        elif record.startswith(b"\x01"):
            self._skipping = record[1:].decode().strip() in self._boundary
        elif record:
            added, removed, path = record.removeprefix(b"\n").split(b"\t", 2)
            lines = (_count(added), _count(removed))
            if path:
                self._add(readable(path), lines)
            else:
                self._lines = lines

    def _take_name(self, name: str) -> None:
        if self._old_name is None:
            self._old_name = name
            return
        assert self._lines is not None
        self._add(name, self._lines)
        self._today[self._old_name] = self._today.get(name, name)
        self._lines = self._old_name = None

    def _add(self, path: str, lines: tuple[int, int]) -> None:
        if self._skipping:
            return
        path = self._today.get(path, path)
        file = self.files.setdefault(path, FileChurn(path=path, commits=0, added=0, removed=0))
        file.commits += 1
        file.added += lines[0]
        file.removed += lines[1]


def _count(number: bytes) -> int:
    return 0 if number == b"-" else int(number)  # "-": a binary file
