"""What deleting does to the file: its length, its WAL, its free pages, histories longer than a transaction."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ksl.log import pruning, retention
from ksl.log.checkpoint import WAL_BYTES_MAX
from ksl.log.retention import RetentionLoop, prune
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change
from ksl.records import RunStatus

from tests.integration.log.changes import event, put, run

HOUR_MS = 3_600_000
MIB = 1024 * 1024


class Clock:
    def __init__(self) -> None:
        self.ms = 0

    def now_ms(self) -> int:
        return self.ms


def over(run_id: str, at_ms: int, *, size: int = 200) -> Change:
    """A whole short run: created, one step, done."""
    value = b'"' + b"x" * size + b'"'
    row = run(run_id, status=RunStatus.SUCCEEDED, seq=4, created_at_ms=at_ms, finished_at_ms=at_ms)
    return Change(run_id, [event(run_id, seq, at_ms=at_ms, data=value) for seq in range(1, 5)], run=row)


def check(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def work_off(loop: RetentionLoop, now_ms: int) -> None:
    while await loop.once(now_ms):
        pass


@pytest.mark.slow
async def test_under_retention_the_file_levels_off_and_the_wal_stays_short_with_a_reader_open(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ksl.db"
    store = await SqliteStore.open(path, durability="process", boot="b1")
    clock = Clock()
    loop = RetentionLoop(store=store, clock=clock, keep_s=3_600)
    sizes: list[int] = []
    longest_wal = 0
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reader:
        for ten_minutes in range(50):  # 1,000 runs in each
            clock.ms = ten_minutes * HOUR_MS // 6
            await put(store, *[over(f"r{ten_minutes}-{number}", clock.ms) for number in range(1_000)])
            await work_off(loop, clock.ms)
            assert reader.execute("SELECT count(*) FROM run").fetchone()[0] <= 7_000
            stats = await store.stats()
            sizes.append(stats.database_bytes)
            longest_wal = max(longest_wal, stats.wal_bytes)
    await store.close()

    assert longest_wal <= WAL_BYTES_MAX + 4 * MIB
    assert max(sizes[15:]) <= min(sizes[15:]) + 8 * MIB
    check(path)


async def test_deleting_waits_while_a_reader_keeps_the_wal_from_being_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_WAL_BYTES_MAX", 256 * 1024)
    path = tmp_path / "ksl.db"
    store = await SqliteStore.open(path, durability="process", boot="b1")
    loop = RetentionLoop(store=store, clock=Clock(), keep_s=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        await put(store, over("r0", 0))
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM run").fetchone()
        await put(store, *[over(f"r{number}", 0, size=2_000) for number in range(1, 200)])

        assert not await loop.once(HOUR_MS)
        assert await store.prunable(HOUR_MS) == 200
    await store.close()

    store = await SqliteStore.open(path, durability="process", boot="b2")
    await work_off(RetentionLoop(store=store, clock=Clock(), keep_s=1), HOUR_MS)
    assert await store.prunable(HOUR_MS) == 0
    await store.close()


async def test_a_long_history_goes_in_pieces_and_leaves_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "ksl.db"
    store = await SqliteStore.open(path, boot="b1")
    events = pruning.EVENTS_MAX * 2 + 10
    row = run("long", status=RunStatus.FAILED, seq=events, finished_at_ms=1)
    await put(store, Change("long", [event("long", seq) for seq in range(1, events + 1)], run=row))

    first = await store.prune(10, limit=200)
    assert (first.run_ids, first.events, first.more) == (("long",), pruning.EVENTS_MAX, True)
    assert await store.run("long") is None
    await store.close()  # as a crash in between

    store = await SqliteStore.open(path, boot="b2")
    assert (await prune(store, None, keep_s=1, now_ms=HOUR_MS)).runs == 0
    assert (await store.size()).rows["event"] == 0
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT key FROM meta WHERE key LIKE 'pruned:%'").fetchall() == []
    check(path)


async def test_a_person_who_prunes_gets_the_space_back(tmp_path: Path) -> None:
    path = tmp_path / "ksl.db"
    store = await SqliteStore.open(path, boot="b1")
    large = b'"' + b"x" * 5 * MIB + b'"'
    row = run("r1", status=RunStatus.SUCCEEDED, seq=1, finished_at_ms=1)
    await put(store, Change("r1", [event("r1", 1, data=large)], run=row))

    await prune(store, 0, keep_s=0, now_ms=10)
    size = await store.size()
    await store.close()

    assert size.free_bytes == 0
    assert size.rows == {"event": 0, "blob": 0, "run": 0, "hook": 0, "timer": 0, "firing": 0, "fired_key": 0}
    assert path.stat().st_size < MIB


async def test_nothing_is_deleted_where_runs_are_kept_for_ever(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "ksl.db", boot="b1")
    await put(store, over("r1", 0))

    assert not await RetentionLoop(store=store, clock=Clock(), keep_s=0).once(HOUR_MS)
    assert await store.prunable(HOUR_MS) == 1
    await store.close()


async def test_commits_and_deletions_take_turns(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "ksl.db", durability="process", boot="b1")
    await put(store, *[over(f"r{number}", 0) for number in range(1_000)])
    stored: list[int] = []
    pieces = 0
    while (await store.prune(10, limit=100)).more:
        pieces += 1
        seq = len(stored) + 1
        store.append(Change("live", [event("live", seq)], stored=lambda: stored.append(1)))
    await store.flush()
    await store.close()

    assert len(stored) == pieces == 10
