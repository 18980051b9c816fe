"""What every log must do about triggers, asked of each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ksl.errors import BadRequest, KeyTaken
from ksl.log.memory import MemoryStore
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change, Store
from ksl.log.trigger_rows import REJECTED_MAX, TriggerRows
from ksl.records import (
    FiredKey,
    FiringRow,
    Recipient,
    RunFilter,
    RunStatus,
    SourceState,
    StartedRun,
    SubscriptionRow,
    Switch,
    Unstarted,
)
from ksl.records.event import Meta

from tests.integration.log.changes import Told, event, put, run


@pytest.fixture(params=["sqlite full", "sqlite process", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store
    match request.param:
        case "memory":
            opened = MemoryStore()
        case "sqlite full":
            opened = await SqliteStore.open(tmp_path / "ksl.db", durability="full", boot="b1")
        case _:
            opened = await SqliteStore.open(tmp_path / "ksl.db", durability="process", boot="b1")
    yield opened
    await opened.close()


def firing(firing_id: str, **fields: Any) -> FiringRow:
    known: dict[str, Any] = {
        "source": "news",
        "kind": "webhook",
        "at_ms": 1_000,
        "nominal_ms": 900,
        "verdict": "started",
    }
    return FiringRow(firing_id=firing_id, **(known | fields))


def fan_out(firing_id: str, *users: str, key: str | None = None, **rows: Any) -> Change:
    """A firing with a run for each user."""
    ids = [f"{firing_id}-{user}" for user in users]
    meta = Meta(source="news", firing=firing_id)
    return Change(
        run_id=firing_id,
        events=[event(run_id, 1, type="run_created", step=None, meta=meta) for run_id in ids],
        triggers=TriggerRows(
            1_000,
            runs=[
                run(run_id, subscriber=user, status=RunStatus.QUEUED)
                for run_id, user in zip(ids, users, strict=True)
            ],
            firings=[
                firing(
                    firing_id,
                    runs=tuple(
                        StartedRun(run_id, "digest", user) for run_id, user in zip(ids, users, strict=True)
                    ),
                )
            ],
            keys=[FiredKey("news", key)] if key else [],
            **rows,
        ),
    )


async def ids(store: Store) -> list[str]:
    return sorted(row.run_id for row in (await store.runs(RunFilter())).rows)


async def test_a_firing_comes_back_as_it_went_in(store: Store) -> None:
    rows = [
        firing("f1"),
        firing(
            "f2",
            verdict="failed",
            reason="KeyError: 'n'",
            payload='[{"ä": "€"}]'.encode(),
            many=True,
            runs=(StartedRun("r1", "digest", "ada", 2),),
            errors=(
                Unstarted("digest", "KeyError", "'n'", "bob", 1),
                Unstarted("x", "overlap", "busy", held_back=True),
            ),
            skipped=3,
            delivery_id="msg_1",
            by="cli",
        ),
    ]
    await put(store, Change("f", triggers=TriggerRows(1_000, firings=rows)))

    assert await store.triggers.firing("f2") == rows[1]
    assert await store.triggers.firing("f3") is None
    assert (await store.triggers.firings("news")).rows == rows[::-1]


async def test_a_firing_and_its_runs_are_stored_together(store: Store) -> None:
    state = SourceState("news", last_ms=7, cursor=b'{"page": 2}', note=b"[]")

    await put(store, fan_out("f1", "ada", "bob", key="k", states=[state]))

    assert await ids(store) == ["f1-ada", "f1-bob"]
    assert [each.type for each in await store.events("f1-ada")] == ["run_created"]
    assert await store.triggers.states() == {"news": state}
    assert await store.triggers.keys("news", ["k"], now_ms=0) == {"k": FiredKey("news", "k")}


async def test_a_taken_key_refuses_the_whole_firing_and_no_other(store: Store) -> None:
    told = Told()
    for name, change in {
        "first": fan_out("f1", "ada", key="k"),
        "again": fan_out("f2", "bob", key="k", states=[SourceState("news", last_ms=2)]),
        "other": fan_out("f3", "cyd", key="l"),
        "plain": Change("r9", [event("r9", 1)], run("r9")),
    }.items():
        store.append(told.watch(change, name))
    await store.flush()

    assert told.words == ["first", ("again", "KeyTaken"), "other", "plain"]
    (error,) = told.errors
    assert isinstance(error, KeyTaken)
    assert (error.source, error.key) == ("news", "k")
    assert await ids(store) == ["f1-ada", "f3-cyd", "r9"]
    assert await store.events("f2-bob") == []
    assert await store.triggers.states() == {}
    assert [row.firing_id for row in (await store.triggers.firings("news")).rows] == ["f3", "f1"]


async def test_one_key_twice_in_a_firing_refuses_it(store: Store) -> None:
    told = Told()
    rows = TriggerRows(1_000, firings=[firing("f1")], keys=[FiredKey("news", "k"), FiredKey("news", "k")])

    store.append(told.watch(Change("f1", triggers=rows), "twice"))
    await store.flush()

    assert told.words == [("twice", "KeyTaken")]
    assert await store.triggers.keys("news", ["k"], now_ms=0) == {}


async def test_an_expired_key_is_free_and_can_be_deleted(store: Store) -> None:
    old = FiredKey("news", "k", expires_ms=2_000, digest=b"d" * 32, answer=b'["r1"]')
    await put(store, Change("a", triggers=TriggerRows(1_000, keys=[old])))
    assert await store.triggers.keys("news", ["k", "l"], now_ms=1_999) == {"k": old}
    assert await store.triggers.keys("other", ["k"], now_ms=1_999) == {}

    assert await store.triggers.keys("news", ["k"], now_ms=2_000) == {}
    new = FiredKey("news", "k", expires_ms=4_000)
    await put(store, Change("b", triggers=TriggerRows(2_000, keys=[new, FiredKey("news", "for ever")])))
    assert await store.triggers.prune(0, now_ms=4_000, limit=10) is False
    assert list(await store.triggers.keys("news", ["k", "for ever"], now_ms=0)) == ["for ever"]


async def test_firings_come_in_pages_of_a_source_and_a_verdict(store: Store) -> None:
    rows = [firing(f"f{n}", verdict="skipped" if n % 2 else "started") for n in range(6)]
    await put(store, Change("f", triggers=TriggerRows(1_000, firings=[*rows, firing("x", source="other")])))

    first = await store.triggers.firings("news", limit=4)
    second = await store.triggers.firings("news", limit=4, cursor=first.next_cursor)
    assert [row.firing_id for row in first.rows + second.rows] == ["f5", "f4", "f3", "f2", "f1", "f0"]
    assert second.next_cursor is None
    skipped = await store.triggers.firings("news", verdict="skipped")
    assert [row.firing_id for row in skipped.rows] == ["f5", "f3", "f1"]
    with pytest.raises(BadRequest):
        await store.triggers.firings("news", cursor="made up")


async def test_only_the_newest_refusals_are_kept(store: Store) -> None:
    kept = firing("kept")
    for piece in range(3):
        rows = [firing(f"f{piece}-{n}", verdict="rejected") for n in range(60)]
        await put(store, Change(f"p{piece}", triggers=TriggerRows(1, firings=rows, refused={"news": 60})))
        if not piece:
            await put(store, Change("k", triggers=TriggerRows(1, firings=[kept])))

    rejected = await store.triggers.firings("news", verdict="rejected", limit=1_000)
    assert len(rejected.rows) == REJECTED_MAX
    assert rejected.rows[0].firing_id == "f2-59"
    assert await store.triggers.refusals() == {"news": 180}
    assert await store.triggers.firing("kept") == kept


async def test_switches_say_what_is_disabled(store: Store) -> None:
    off, one = Switch("news", "", False, 5, "ada"), Switch("news", "digest", False, 6, "ada")
    await put(store, Change("a", triggers=TriggerRows(5, switches=[off, one])))
    assert sorted(await store.triggers.disabled(), key=lambda row: row.workflow) == [off, one]

    await put(store, Change("b", triggers=TriggerRows(7, switches=[Switch("news", "", True, 7)])))
    assert await store.triggers.disabled() == [one]


async def test_subscriptions_keep_their_order(store: Store) -> None:
    rows = [SubscriptionRow(f"s{n}", "digest", f"u{n}", True, n, "ada") for n in range(3)]
    await put(store, Change("a", triggers=TriggerRows(1, subscriptions=rows)))
    disabled = SubscriptionRow("s0", "digest", "u0", False, 0, "ada")
    await put(
        store, Change("b", triggers=TriggerRows(2, subscriptions=[disabled], unsubscribed=["s1", "none"]))
    )

    assert await store.triggers.subscriptions() == [disabled, rows[2]]


async def test_unfinished_runs_are_those_of_source_workflow_and_subscriber(store: Store) -> None:
    await put(store, fan_out("f1", "ada", "bob"), fan_out("f2", "ada"))
    done = run("f1-ada", subscriber="ada", status=RunStatus.SUCCEEDED, finished_at_ms=5)
    await put(store, Change("f1-ada", [event("f1-ada", 2, type="run_completed", step=None)], done))
    await put(store, Change("r9", [event("r9", 1)], run("r9", subscriber="ada")))
    log = store.triggers

    assert [row.run_id for row in await log.unfinished("news", Recipient("digest", "ada"))] == ["f2-ada"]
    assert [row.run_id for row in await log.unfinished("news", Recipient("digest", "bob"))] == ["f1-bob"]
    assert await log.unfinished("news", Recipient("digest")) == []
    assert await log.unfinished("other", Recipient("digest", "ada")) == []


async def test_old_firings_are_deleted_a_piece_at_a_time(store: Store) -> None:
    rows = [firing(f"f{n}", at_ms=n) for n in range(5)]
    await put(store, Change("f", triggers=TriggerRows(1, firings=rows)))
    log = store.triggers

    assert await log.prune(3, now_ms=0, limit=2) is True
    assert await log.prune(3, now_ms=0, limit=2) is False
    assert [row.firing_id for row in (await log.firings("news")).rows] == ["f4", "f3"]
