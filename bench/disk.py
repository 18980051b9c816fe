"""What this disk and plain sqlite3 take: the yardstick that the other rows are read against."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from time import perf_counter

from bench.rows import Place, Row, Sample, p50

_PAGE = b"k" * 4096
_TABLE = (
    """CREATE TABLE event (id INTEGER PRIMARY KEY, run_id TEXT, seq INTEGER, type TEXT, data TEXT) STRICT"""
)
_INSERT = "INSERT INTO event (run_id, seq, type, data) VALUES (?, ?, ?, ?)"


def commit_ms(place: Place, *, synchronous: str = "FULL", rows: int = 1, commits: int = 300) -> list[float]:
    """How long each commit of so many rows took, in a WAL that starts empty."""
    path = place.fresh("raw")
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(_TABLE)
        took: list[float] = []
        for n in range(commits):
            values = [("run_0000000000", n * rows + row, "step_completed", "x" * 65) for row in range(rows)]
            began = perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, values)
            connection.execute("COMMIT")
            took.append((perf_counter() - began) * 1000)
        return took
    finally:
        connection.close()
        _remove(path)


def _sync_ms(place: Place, *, append: bool) -> Sample:
    path = place.fresh("sync")
    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        os.write(handle, _PAGE * 256)
        os.fsync(handle)
        took: list[float] = []
        for n in range(300):
            began = perf_counter()
            os.pwrite(handle, _PAGE, (256 + n if append else n % 256) * len(_PAGE))
            os.fdatasync(handle)
            took.append((perf_counter() - began) * 1000)
        return Sample(p50(took), {"p95": (sorted(took)[285], "ms")})
    finally:
        os.close(handle)
        path.unlink()


def _append(place: Place) -> Sample:
    return _sync_ms(place, append=True)


def _overwrite(place: Place) -> Sample:
    return _sync_ms(place, append=False)


def _full(place: Place) -> Sample:
    took = commit_ms(place)
    return Sample(p50(took), {"commits": (1000 * len(took) / sum(took), "/s")})


def _normal(place: Place) -> Sample:
    took = commit_ms(place, synchronous="NORMAL", commits=2_000)
    return Sample(p50(took), {"commits": (1000 * len(took) / sum(took), "/s")})


def _hundred(place: Place) -> Sample:
    took = commit_ms(place, rows=100, commits=200)
    return Sample(100_000 * len(took) / sum(took), {"a commit": (p50(took), "ms")})


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


ROWS = [
    Row("fdatasync-append", "fdatasync of 4 KiB more, p50", "ms", _append),
    Row("fdatasync-overwrite", "fdatasync of 4 KiB written over, p50", "ms", _overwrite),
    Row("sqlite-full", "plain sqlite3, WAL, FULL: commit of a row, p50", "ms", _full),
    Row("sqlite-normal", "plain sqlite3, WAL, NORMAL: commit of a row, p50", "ms", _normal),
    Row("sqlite-full-100", "plain sqlite3, WAL, FULL: in commits of 100 rows", "rows/s", _hundred),
]
