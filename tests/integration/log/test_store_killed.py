"""kill -9 of a real process: nothing that it acknowledged is missing."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ksl.log.sqlite import SqliteStore

ROOT = Path(__file__).parents[3]
KILLS = 4


@pytest.mark.crash
@pytest.mark.parametrize("durability", ["full", "process"])
async def test_nothing_acknowledged_is_missing_after_kills(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "ksl.db"
    acknowledged: dict[str, int] = {}
    for kill in range(KILLS):
        victim = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.log.killed", str(path), durability,
            cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert victim.stdout is not None
        lines = 0
        async for line in victim.stdout:
            run_id, seq = line.split()
            acknowledged[run_id.decode()] = int(seq)
            lines += 1
            if lines == 50 + 150 * kill:
                victim.kill()  # what it wrote until it died is read to the end
        assert await victim.wait() == -9

    left = {file.name: file.stat().st_size for file in (path, Path(f"{path}-wal"))}
    reading = await SqliteStore.open_reader(path)
    assert len(await reading.events("r0")) >= acknowledged["r0"]
    await reading.close()
    assert {file.name: file.stat().st_size for file in (path, Path(f"{path}-wal"))} == left

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store = await SqliteStore.open(path, boot="b")
    suspects = await store.suspects()
    for run_id, seq in acknowledged.items():
        seqs = [event.seq for event in await store.events(run_id)]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) >= seq
        row = await store.run(run_id)
        assert row is not None
        assert row.seq == len(seqs)
    timers = await store.timers(until_ms=1_000_000, limit=1_000)
    await store.close()

    assert len(timers) == len({timer.run_id for timer in timers})
    assert set(acknowledged) <= set(suspects)
    assert sum(acknowledged.values()) >= 50 + 200 + 350
