from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ksl.api.feed import Feed
from ksl.errors import DamagedEvent
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change, FeedRow
from ksl.records import Event


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "ksl.db", durability="process")
    yield store
    await store.close()


def change(run_id: str, seq: int) -> Change:
    return Change(run_id, events=[Event(run_id, seq, "run_started", None, 1)])


class Follower:
    def __init__(self, feed: Feed, run_id: str) -> None:
        self.woken = asyncio.Event()
        self.leave = feed.wake_for(run_id)(self.woken.set)

    async def wakes(self) -> None:
        await self.woken.wait()
        self.woken.clear()


async def test_a_follower_is_woken_by_events_of_its_own_run_alone(store: SqliteStore) -> None:
    feed = Feed(store)
    one, two = Follower(feed, "r1"), Follower(feed, "r2")
    await one.wakes()  # everybody looks once when the feed starts
    await two.wakes()
    store.append(change("r1", 1))
    await one.wakes()
    store.append(change("r2", 1))
    await two.wakes()
    assert not one.woken.is_set()
    one.leave()
    two.leave()


async def test_nothing_is_read_while_nobody_follows(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(store)
    follower = Follower(feed, "r1")
    await follower.wakes()
    follower.leave()
    reads: list[int] = []

    async def count(after: int, *, limit: int = 0) -> list[FeedRow]:
        reads.append(after)
        return []

    await asyncio.sleep(0)
    monkeypatch.setattr(store, "feed", count)
    store.append(change("r1", 1))
    await store.flush()
    await asyncio.sleep(0)
    assert reads == []


async def test_a_feed_that_cannot_be_read_wakes_everybody_instead(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def damaged(after: int, *, limit: int = 0) -> list[FeedRow]:
        raise DamagedEvent("event 3 of r9 does not match its checksum")

    monkeypatch.setattr(store, "feed", damaged)
    feed = Feed(store)
    follower = Follower(feed, "r1")
    await follower.wakes()
    store.append(change("r2", 1))
    await follower.wakes()
    follower.leave()
