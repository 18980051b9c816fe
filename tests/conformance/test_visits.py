"""What every log must do with the visits of links."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ksl.log.memory import MemoryStore
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change, Store
from ksl.log.visits import KEPT
from ksl.records import RunStatus
from ksl.records.link_visit import LinkUse, LinkVisit

from tests.integration.log.changes import event, hook, run


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = (
        MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "k.db", boot="b")
    )
    for run_id in ("r1", "r2"):
        row = run(run_id, status=RunStatus.SUCCEEDED, finished_at_ms=5)
        opened.append(
            Change(run_id, [event(run_id, 1)], run=row, hooks=[hook(run_id.encode(), run_id, step="ask#0")])
        )
    await opened.flush()
    yield opened
    await opened.close()


def visit(number: int, run_id: str = "r1", *, answered: bool = False) -> LinkVisit:
    return LinkVisit(run_id, "ask#0", number, "GET", 200, answered, "127.0.0.1", f"agent {number}")


def use(*visits: LinkVisit, run_id: str = "r1") -> LinkUse:
    return LinkUse(run_id, "ask#0", 0, len(visits), 0, sum(each.answered for each in visits), visits)


async def test_what_is_added_is_counted_and_kept_in_order(store: Store) -> None:
    await store.visits.add([use(visit(1), visit(2))])
    await store.visits.add([use(visit(3)), use(visit(4, "r2"), run_id="r2")])
    assert await store.visits.of(["r1"]) == [use(visit(1), visit(2), visit(3))]
    assert {each.run_id for each in await store.visits.of(["r1", "r2", "r3"])} == {"r1", "r2"}


async def test_beyond_so_many_they_are_counted_and_the_answer_is_kept_all_the_same(store: Store) -> None:
    for start in range(0, KEPT + 200, 100):
        await store.visits.add([use(*map(visit, range(start, start + 100)))])
    await store.visits.add([use(visit(900, answered=True), visit(901))])
    [told] = await store.visits.of(["r1"])
    assert (told.opened, told.answered) == (KEPT + 202, 1)
    assert [each.at_ms for each in told.visits] == [*range(KEPT), 900]


async def test_they_go_with_their_run_and_none_is_added_after(store: Store) -> None:
    await store.visits.add([use(visit(1))])
    await store.prune(10, limit=10)
    assert await store.visits.of(["r1"]) == []
    await store.visits.add([use(visit(2))])
    assert await store.visits.of(["r1"]) == []
