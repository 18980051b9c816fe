"""A loop that never idles must not keep the database's threads from the GIL."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change

from tests.integration.log.changes import event

COMMITS = 60


async def saturate(until: asyncio.Event) -> None:
    while not until.is_set():
        end = time.perf_counter() + 0.001
        while time.perf_counter() < end:
            pass
        await asyncio.sleep(0)


async def test_a_saturated_loop_does_not_delay_commits_or_reads(tmp_path: Path) -> None:
    """Looks at the clock, and therefore at the middle. Without lending the tail grows to seconds; that the
    loop does lend is shown, without a clock, in tests/unit/log/test_lending.py."""
    store = await SqliteStore.open(tmp_path / "ksl.db", boot="b1")
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    busy = asyncio.create_task(saturate(done))
    commits: list[float] = []
    reads: list[float] = []
    for seq in range(1, COMMITS + 1):
        stored = loop.create_future()
        started = time.perf_counter()
        events = [event("r1", 100 * seq + more) for more in range(1 if seq % 2 else 100)]
        store.append(Change("r1", events, stored=lambda stored=stored: stored.set_result(None)))
        await stored
        commits.append(time.perf_counter() - started)
        started = time.perf_counter()
        await store.events("r1", after=100 * seq - 1)
        reads.append(time.perf_counter() - started)
    done.set()
    await busy
    await store.close()

    assert statistics.median(commits) < 0.05
    assert statistics.median(reads) < 0.05
