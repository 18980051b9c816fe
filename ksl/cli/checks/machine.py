"""What does not depend on the project: the interpreter, SQLite."""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections.abc import Iterator

from ksl.cli.checks import Finding
from ksl.errors import NoColumnPositions

PYTHON_MIN = (3, 11)
SQLITE_MIN = (3, 37, 0)  # STRICT tables
SQLITE_SHARED = (
    3,
    51,
    3,
)  # before it, a second program that writes or checkpoints can corrupt a WAL database


def machine_findings() -> Iterator[Finding]:
    yield _python()
    yield _sqlite(sqlite3.sqlite_version_info)
    yield _positions()


def _python() -> Finding:
    found = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info < PYTHON_MIN:
        return Finding("python", "fail", found, "Install Python 3.11 or newer.")
    if platform.python_implementation() != "CPython":
        return Finding("python", "fail", found, "Use CPython: ksl tells step calls apart by its frames.")
    return Finding("python", "ok", found)


def _sqlite(version: tuple[int, ...]) -> Finding:
    found = ".".join(str(part) for part in version)
    if version < SQLITE_MIN:
        wanted = ".".join(str(part) for part in SQLITE_MIN)
        return Finding("sqlite", "fail", found, f"Use a Python whose sqlite3 is {wanted} or newer.")
    if version < SQLITE_SHARED:
        found += "; no other program may write to the database while ksl runs"
    return Finding("sqlite", "ok", found)


def _positions() -> Finding:
    from ksl.build.loader import require_positions

    try:
        require_positions()
    except NoColumnPositions as error:
        return Finding("positions", "fail", "this Python leaves out column positions", str(error))
    return Finding("positions", "ok", "code carries column positions")
