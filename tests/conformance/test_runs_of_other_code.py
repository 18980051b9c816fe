"""Which runs were started with code that is not the one at hand, asked of each log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from ksl.log.memory import MemoryStore
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change, Store
from ksl.records import RunFilter, RunStatus

from tests.integration.log.changes import event, run

NOW = (("a", "v2"), ("b", "v1"))


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = MemoryStore()
    if request.param == "sqlite":
        opened = await SqliteStore.open(tmp_path / "ksl.db", durability="process", boot="b1")
    for number, (workflow, version) in enumerate(
        [("a", "v1"), ("a", "v2"), ("b", "v1"), ("b", "v2"), ("gone", "v1"), ("a", None)]
    ):
        row = replace(run(f"r{number}"), workflow=workflow, code_version=version, status=RunStatus.SLEEPING)
        opened.append(Change(row.run_id, [event(row.run_id, 1)], row))
    await opened.flush()
    yield opened
    await opened.close()


async def found(store: Store, where: RunFilter) -> list[str]:
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = await store.runs(where, cursor=cursor, limit=2)
        ids += [row.run_id for row in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            return ids


async def test_runs_of_other_code_are_those_of_other_versions_and_of_workflows_that_are_gone(
    store: Store,
) -> None:
    assert await found(store, RunFilter(code_but=NOW)) == ["r5", "r4", "r3", "r0"]
    assert await found(store, RunFilter(code_but=NOW, workflow="a")) == ["r5", "r0"]
    assert await found(store, RunFilter(code_but=NOW, statuses=(RunStatus.WAITING,))) == []


async def test_where_no_workflow_is_left_every_run_is_of_other_code(store: Store) -> None:
    assert len(await found(store, RunFilter(code_but=()))) == 6
