"""The newest firings of many sources, asked at once, are answered alike by every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ksl.log.memory import MemoryStore
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change, Store
from ksl.log.trigger_rows import TriggerRows
from ksl.records import FiringRow

from tests.integration.log.changes import put


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = MemoryStore()
    if request.param == "sqlite":
        opened = await SqliteStore.open(tmp_path / "ksl.db", durability="process", boot="b1")
    yield opened
    await opened.close()


def firing(firing_id: str, source: str) -> FiringRow:
    return FiringRow(firing_id, source, "webhook", 1, 1, "skipped", payload=b'{"large": 1}')


async def test_each_source_has_its_newest_without_payloads(store: Store) -> None:
    for number in range(4):
        for source in ("a", "b"):
            rows = TriggerRows(at_ms=1, firings=[firing(f"{source}{number}", source)])
            await put(store, Change("", [], triggers=rows))
    found = await store.triggers.newest_firings(["a", "b", "none"], limit=3)
    assert {source: [row.firing_id for row in rows] for source, rows in found.items()} == {
        "a": ["a3", "a2", "a1"],
        "b": ["b3", "b2", "b1"],
        "none": [],
    }
    assert all(row.payload is None for rows in found.values() for row in rows)
