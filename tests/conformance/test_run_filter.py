"""Every word of a filter means the same runs in every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from ksl.log.memory import MemoryStore
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change, Store
from ksl.records import RunStatus
from ksl.views.run_query import run_query

from tests.integration.log.changes import event, put, run, timer

NOW = 100_000
LARGE = b'"' + b"x" * 70_000 + b' needle"'  # beyond what stays in the row of its event


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = MemoryStore()
    if request.param == "sqlite":
        opened = await SqliteStore.open(tmp_path / "ksl.db", durability="process", boot="b1")
    order = replace(
        run("run_order", workflow="order", status=RunStatus.FAILED, created_at_ms=10_000),
        trigger="webhook", started_at_ms=11_000, finished_at_ms=19_000, seq=3, code_version="a41c9e00",
        subscriber="ada",
    )  # fmt: skip
    digest = replace(
        run("run_digest", workflow="digest", status=RunStatus.RUNNING, created_at_ms=20_000),
        trigger="cron", started_at_ms=98_000, seq=2, code_version="b2",
    )  # fmt: skip
    queued = run("run_queued", workflow="digest", status=RunStatus.QUEUED, created_at_ms=30_000)
    held = replace(run("run_held", workflow="order", status=RunStatus.HELD, created_at_ms=40_000), seq=2)
    await put(
        opened,
        Change(
            "run_order",
            [
                replace(
                    event("run_order", 1),
                    type="run_created",
                    step=None,
                    data=b'{"id":"O-118","note":"\xc3\x84rger"}',
                ),
                replace(event("run_order", 2), type="step_failed", step="enrich#0/charge-card~2#1"),
                replace(
                    event("run_order", 3),
                    type="run_failed",
                    step=None,
                    data=b'{"message":"Connection reset"}',
                ),
            ],
            run=order,
        ),
        Change(
            "run_digest",
            [
                replace(event("run_digest", 1), type="run_created", step=None, data=LARGE),
                replace(event("run_digest", 2), type="step_retrying", step="fetch[0]#0"),
            ],
            run=digest,
            timers_set=[timer(200_000, "run_digest", step="fetch[0]#0", kind="step_retry")],
        ),
        Change(
            "run_queued",
            [replace(event("run_queued", 1), type="run_created", step=None, data=b"null")],
            run=queued,
        ),
        Change(
            "run_held",
            [
                replace(event("run_held", 1), type="run_created", step=None, data=b'{"id":"o-7%"}'),
                replace(
                    event("run_held", 2), type="run_held", step=None, data=b'{"message":"paused by Ada"}'
                ),
            ],
            run=held,
        ),
    )
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "held queued digest order"),
        ("state:failed,held", "held order"),
        ("state:retrying", "digest"),
        ("state:failed,retrying", "digest order"),
        ("-state:failed", "held queued digest"),
        ("-state:retrying", "held queued order"),
        ("workflow:order,nothing", "held order"),
        ("-workflow:order", "queued digest"),
        ("trigger:webhook", "order"),
        ("subscriber:ada", "order"),
        ("-subscriber:ada", "held queued digest"),
        ("version:a41c", "order"),
        ("-version:a41c", "held queued digest"),
        ("since:75s", "held queued"),
        ("until:75s", "digest order"),
        ("since:85s until:65s", "queued digest"),
        ("took:>5s", "order"),
        ("took:<5s", "digest"),
        ("-took:>5s", "held queued digest"),
        ("step:charge-card", "order"),
        ("step:enrich", "order"),
        ("step:fetch", "digest"),
        ("step:enrich#0/charge-card~2#1", "order"),
        ("step:charge", ""),
        ("step:charge_card", ""),
        ("step:%", ""),
        ("error:CONNECTION", "order"),
        ("error:ada", "held"),
        ("o-118", "order"),
        ('"o-7%"', "held"),
        ('"%"', "held"),
        ("Ärger", "order"),
        ("needle", "digest"),
        ("run_queued", "queued"),
        ("-needle workflow:digest", "queued"),
        ("workflow:order o-118 state:held", ""),
        ("id:run_order,run_held,nothing", "held order"),
        ("id:run_order state:held", ""),
        ("-id:run_order", "held queued digest"),
        ("id:run_", ""),
    ],
)
async def test_a_filter_means_the_same_runs_everywhere(store: Store, text: str, found: str) -> None:
    where = run_query(text, now_ms=NOW)

    page = await store.runs(where, limit=10)

    assert [row.run_id.removeprefix("run_") for row in page.rows] == found.split()
    assert await store.run_count(where, most=10) == len(found.split())


async def test_runs_are_counted_no_further_than_asked(store: Store) -> None:
    assert await store.run_count(run_query("", now_ms=NOW), most=3) == 3
    assert await store.run_count(run_query("state:failed,held", now_ms=NOW), most=1) == 1


async def test_pages_of_a_filter_are_whole_and_without_overlap(store: Store) -> None:
    where = run_query("-trigger:webhook", now_ms=NOW)
    first = await store.runs(where, limit=2)
    second = await store.runs(where, cursor=first.next_cursor, limit=2)

    assert [row.run_id for row in first.rows + second.rows] == ["run_held", "run_queued", "run_digest"]
    assert second.next_cursor is None
