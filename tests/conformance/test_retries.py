"""What is to be tried again, and when, is answered alike by every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from ksl.log.memory import MemoryStore
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change, Store
from ksl.records import Meta, Retrying, RunStatus
from ksl.views.run_query import run_query

from tests.integration.log.changes import event, put, run, timer


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = MemoryStore()
    if request.param == "sqlite":
        opened = await SqliteStore.open(tmp_path / "ksl.db", durability="process", boot="b1")
    yield opened
    await opened.close()


def failed(run_id: str, seq: int, step: str | None, *, attempt: int, most: int = 0):
    told = replace(event(run_id, seq), type="run_retrying" if step is None else "step_retrying", step=step)
    return replace(told, meta=Meta(attempt=attempt, attempts_max=most))


async def test_the_soonest_of_a_runs_retries_is_told_with_the_attempt_to_come(store: Store) -> None:
    await put(
        store,
        Change(
            "a",
            [
                failed("a", 1, "score#0", attempt=1, most=5),
                failed("a", 2, "fetch#0", attempt=1, most=3),
                failed("a", 3, "score#0", attempt=2, most=5),
            ],
            run=run("a"),
            timers_set=[
                timer(9_000, "a", "fetch#0", kind="step_retry"),
                timer(4_000, "a", "score#0", kind="step_retry"),
                timer(1_000, "a", "sleep#0"),
            ],
        ),
        Change(
            "b",
            [failed("b", 1, None, attempt=2, most=3)],
            run=run("b", status=RunStatus.QUEUED),
            timers_set=[timer(7_000, "b", "", kind="run_retry")],
        ),
        Change("c", [event("c", 1)], run=run("c"), timers_set=[timer(5_000, "c")]),
    )
    assert await store.retries(["a", "b", "c", "gone"]) == {
        "a": Retrying("score#0", 3, 5, 4_000),
        "b": Retrying(None, 2, 3, 7_000),
    }
    assert await store.retries([]) == {}


async def test_an_event_that_is_gone_or_older_than_the_count_leaves_the_moment(store: Store) -> None:
    await put(
        store,
        Change("a", [event("a", 1)], run=run("a"), timers_set=[timer(4_000, "a", "x#0", kind="step_retry")]),
    )
    assert await store.retries(["a"]) == {"a": Retrying("x#0", 0, 0, 4_000)}


async def test_a_held_run_is_not_retrying_though_its_timer_waits(store: Store) -> None:
    await put(
        store,
        Change(
            "a",
            [event("a", 1)],
            run=run("a", status=RunStatus.HELD),
            timers_set=[timer(4_000, "a", "x#0", kind="step_retry")],
        ),
    )
    assert (await store.runs(run_query("state:retrying", now_ms=0))).rows == []
    assert len((await store.runs(run_query("-state:retrying", now_ms=0))).rows) == 1
