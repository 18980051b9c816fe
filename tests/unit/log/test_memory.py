from __future__ import annotations

from ksl.errors import StoreFailed, StoreFull
from ksl.log.memory import MemoryStore
from ksl.log.store import Change

from tests.integration.log.changes import Told, event, put


async def test_a_full_disk_can_be_played() -> None:
    store = MemoryStore()
    told = Told()
    store.append(told.watch(Change("r1", [event("r1", 1)]), "first"))

    store.fail(StoreFull("no space"))

    assert told.words == [("first", "StoreFull")]
    assert not store.failed.done()
    await put(store, Change("r1", [event("r1", 1)]))


async def test_a_broken_disk_can_be_played() -> None:
    store = MemoryStore()
    told = Told()
    error = StoreFailed("disk I/O error")

    store.fail(error, for_ever=True)
    store.append(told.watch(Change("r1", [event("r1", 1)]), "first"))
    await store.flush()

    assert told.words == [("first", "StoreFailed")]
    assert await store.failed is error
