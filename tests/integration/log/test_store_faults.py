"""When the disk has no space, breaks, or is kept busy by somebody else."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ksl.errors import StoreBusy, StoreFailed, StoreFull
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change

from tests.integration.log.changes import Told, event, put

BULKY = b'"' + b"x" * 20_000 + b'"'


@contextmanager
def mounted(folder: Path, *, options: str) -> Generator[Path]:
    """A file system of its own, unmounted afterwards. Skips where mounting is not permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def files_up_to(size: int) -> Generator[None]:
    """Writes beyond that length of a file fail with EFBIG, which SQLite reports as a disk I/O error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_loses_what_was_asked_and_nothing_else_until_there_is_space(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", options="size=1500k") as small:
        ballast = small / "ballast"
        ballast.write_bytes(b"x" * 600_000)
        store = await SqliteStore.open(small / "ksl.db", boot="b1")
        told = Told()
        seq = 0
        while not told.errors:
            seq += 1
            assert seq < 100, "the disk never filled"
            store.append(told.watch(Change("r1", [event("r1", seq, data=BULKY)]), str(seq)))
            await store.flush()

        assert isinstance(told.errors[0], StoreFull)
        assert not store.failed.done()
        assert [stored.seq for stored in await store.events("r1")] == list(range(1, seq))

        ballast.unlink()
        await put(store, Change("r1", [event("r1", seq, data=BULKY)]))
        await store.close()
        with closing(sqlite3.connect(small / "ksl.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT count(*) FROM event").fetchone() == (seq,)


async def test_what_was_appended_before_a_loss_was_told_is_lost_with_it(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", options="size=1500k") as small:
        store = await SqliteStore.open(small / "ksl.db", boot="b1")
        told = Told()
        huge = b'"' + b"x" * 3_000_000 + b'"'
        store.append(told.watch(Change("r1", [event("r1", 1, data=huge)]), "first"))
        store.append(told.watch(Change("r1", [event("r1", 2)]), "second"))
        await asyncio.sleep(0)  # the first is in flight now, being a batch by itself
        store.append(told.watch(Change("r1", [event("r1", 3)]), "third"))
        await store.flush()
        await put(store, Change("r1", [event("r1", 1)]))
        history = await store.events("r1")
        await store.close()

    assert told.words == [(name, "StoreFull") for name in ("first", "second", "third")]
    assert [stored.seq for stored in history] == [1]


@pytest.mark.parametrize("durability", ["full", "process"])
async def test_a_broken_disk_ends_all_storing(tmp_path: Path, durability: str) -> None:
    store = await SqliteStore.open(
        tmp_path / "ksl.db", durability="full" if durability == "full" else "process", boot="b1"
    )
    await put(store, Change("r1", [event("r1", 1)]))
    told = Told()
    with files_up_to(40_000):
        store.append(told.watch(Change("r1", [event("r1", 2, data=BULKY * 5)]), "second"))
        await store.flush()
    store.append(told.watch(Change("r2", [event("r2", 1)]), "later"))
    await store.flush()

    assert told.words == [("second", "StoreFailed"), ("later", "StoreFailed")]
    assert isinstance(await store.failed, StoreFailed)
    assert "disk I/O error" in str(await store.failed)
    assert [stored.seq for stored in await store.events("r1")] == [1]
    await store.close()

    store = await SqliteStore.open(tmp_path / "ksl.db", boot="b2")
    assert [stored.seq for stored in await store.events("r1")] == [1]
    assert await store.events("r2") == []
    await store.close()


async def test_a_database_that_somebody_else_writes_to_is_busy_and_then_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ksl.log.opening.BUSY_TIMEOUT_S", 0.01)
    store = await SqliteStore.open(tmp_path / "ksl.db", boot="b1")
    told = Told()
    with closing(sqlite3.connect(tmp_path / "ksl.db", isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        store.append(told.watch(Change("r1", [event("r1", 1)]), "first"))
        await store.flush()
        shell.execute("ROLLBACK")

    assert told.words == [("first", "StoreBusy")]
    assert isinstance(told.errors[0], StoreBusy)
    await put(store, Change("r1", [event("r1", 1)]))
    await store.close()


async def test_the_log_on_disk_stays_small_under_load_and_is_written_over(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "ksl.db", durability="process", boot="b1")
    longest = 0
    for seq in range(1, 121):
        await put(store, Change("r1", [event("r1", seq, data=str(seq).encode() + b"0" * 1_000_000)]))
        longest = max(longest, (await store.stats()).wal_bytes)
    stats = await store.stats()
    await store.close()

    assert stats.database_bytes > 64 * 1024 * 1024
    assert longest < 20 * 1024 * 1024
