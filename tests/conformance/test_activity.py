"""What happened of late, and the code of workflows that are gone, are answered alike by every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from ksl.log.memory import MemoryStore
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change, Store
from ksl.records import Activity, CodeRow, RunStatus

from tests.integration.log.changes import event, put, run


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = MemoryStore()
    if request.param == "sqlite":
        opened = await SqliteStore.open(tmp_path / "ksl.db", durability="process", boot="b1")
    yield opened
    await opened.close()


async def test_runs_are_counted_by_workflow_stretch_and_status(store: Store) -> None:
    made = [
        ("old", "order", RunStatus.FAILED, 999),
        ("a", "order", RunStatus.FAILED, 1_000),
        ("b", "order", RunStatus.SUCCEEDED, 1_099),
        ("c", "order", RunStatus.SUCCEEDED, 1_100),
        ("d", "digest", RunStatus.SUCCEEDED, 1_350),
        ("e", "digest", RunStatus.SUCCEEDED, 1_351),
    ]
    for run_id, workflow, status, at_ms in made:
        row = run(run_id, workflow=workflow, status=status, created_at_ms=at_ms)
        await put(store, Change(run_id, [event(run_id, 1)], row))
    assert sorted(await store.activity(1_000, stretch_ms=100, most=10)) == [
        Activity("digest", 3, RunStatus.SUCCEEDED, 2),
        Activity("order", 0, RunStatus.FAILED, 1),
        Activity("order", 0, RunStatus.SUCCEEDED, 1),
        Activity("order", 1, RunStatus.SUCCEEDED, 1),
    ]
    assert sorted(await store.activity(1_000, stretch_ms=100, most=3)) == [
        Activity("digest", 3, RunStatus.SUCCEEDED, 2),
        Activity("order", 1, RunStatus.SUCCEEDED, 1),
    ]


async def test_a_run_keeps_its_hour_when_its_row_changes(store: Store) -> None:
    row = run("a", created_at_ms=1_000)
    await put(store, Change("a", [event("a", 1)], row))
    await put(store, Change("a", [event("a", 2)], replace(row, status=RunStatus.FAILED)))
    assert await store.activity(0, stretch_ms=500, most=9) == [Activity("digest", 2, RunStatus.FAILED, 1)]


async def test_of_workflows_that_are_gone_the_newest_code_is_told(store: Store) -> None:
    codes = [CodeRow("gone", version, b"{}", b"{}", version.encode()) for version in ("1", "2")]
    for number, code in enumerate([*codes, CodeRow("here", "1", b"{}", b"{}", b"3")]):
        run_id = f"r{number}"
        row = run(run_id, workflow=code.workflow, code_version=code.code_version)
        await put(store, Change(run_id, [event(run_id, 1)], row, codes=[code]))
    await put(store, Change("r9", [event("r9", 1)], run("r9", workflow="gone")))
    assert await store.codes_but(["here", "new"]) == [codes[1]]
    assert await store.codes_but(["here", "gone"]) == []
