"""What every log must do, asked of each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ksl.errors import BadRequest, ChangeRefused
from ksl.log.memory import MemoryStore
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change, Pruned, Store, Waits, WorkflowSize
from ksl.records import FINISHED, CodeRow, Meta, RunFilter, RunStatus

from tests.integration.log.changes import Told, event, hook, put, run, timer

EVERY = RunFilter()
NAMED = ("event", "run", "hook", "timer", "firing", "fired_key")


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


# --- appending


async def test_stored_is_told_in_the_order_of_append(store: Store) -> None:
    told = Told()
    for number in range(50):
        store.append(
            told.watch(Change(f"r{number % 7}", [event(f"r{number % 7}", 1 + number // 7)]), str(number))
        )

    await store.flush()

    assert told.words == [str(number) for number in range(50)]


async def test_nothing_is_told_before_append_has_returned(store: Store) -> None:
    told = Told()

    store.append(told.watch(Change("r1", [event("r1", 1)]), "first"))

    assert told.words == []
    await store.flush()
    assert told.words == ["first"]


async def test_what_is_told_stored_can_be_read(store: Store) -> None:
    seen: asyncio.Queue[None] = asyncio.Queue()
    store.append(Change("r1", [event("r1", 1)], stored=lambda: seen.put_nowait(None)))

    await seen.get()

    assert [stored.seq for stored in await store.events("r1")] == [1]


async def test_stored_is_told_outside_any_task(store: Store) -> None:
    tasks: list[object] = []
    store.append(Change("r1", [event("r1", 1)], stored=lambda: tasks.append(asyncio.current_task())))

    await store.flush()

    assert tasks == [None]


async def test_a_callback_may_append_the_next_change(store: Store) -> None:
    finished = asyncio.Event()

    def append(seq: int) -> None:
        store.append(
            Change("r1", [event("r1", seq)], stored=finished.set if seq == 20 else lambda: append(seq + 1))
        )

    append(1)
    await finished.wait()

    assert [stored.seq for stored in await store.events("r1")] == list(range(1, 21))


async def test_a_callback_that_raises_is_reported_and_the_others_are_told(store: Store) -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    told = Told()

    def explode() -> None:
        raise RuntimeError("boom")

    store.append(Change("r1", [event("r1", 1)], stored=explode))
    store.append(told.watch(Change("r2", [event("r2", 1)]), "second"))
    await store.flush()

    assert told.words == ["second"]
    assert [str(report["exception"]) for report in reports] == ["boom"]


async def test_flush_of_an_empty_log_returns(store: Store) -> None:
    await store.flush()


async def test_an_append_after_close_is_lost(store: Store) -> None:
    told = Told()
    await store.close()

    store.append(told.watch(Change("r1", [event("r1", 1)]), "late"))
    await store.flush()

    assert told.words == [("late", "StoreFailed")]


async def test_a_commit_of_events_or_of_runs_wakes_the_watchers_until_they_leave(store: Store) -> None:
    woken: list[str] = []
    leave = store.wake_on_commit(lambda: woken.append("woken"))

    await put(store, Change("r1", [event("r1", 1)]))
    assert woken == ["woken"]
    await put(store, Change("r1", run=run("r1")))
    assert woken == ["woken"] * 2
    await put(store, Change("r1"))
    assert woken == ["woken"] * 2
    leave()
    leave()
    await put(store, Change("r1", [event("r1", 2)]))

    assert woken == ["woken"] * 2


async def test_stats_count_batches_and_events(store: Store) -> None:
    await put(store, Change("r1", [event("r1", 1), event("r1", 2)]))

    stats = await store.stats()

    assert (stats.batches, stats.events, stats.pending) == (1, 2, 0)


async def test_a_log_that_works_has_not_failed(store: Store) -> None:
    await put(store, Change("r1", [event("r1", 1)]))

    assert not store.failed.done()
    assert await store.suspects() == {}


# --- whole or not at all


async def test_a_change_whose_event_is_taken_leaves_nothing_behind(store: Store) -> None:
    await put(store, Change("r1", [event("r1", 1)], run=run("r1")))
    told = Told()
    bad = Change(
        "r1",
        [event("r1", 2), event("r1", 1)],
        run=run("r1", status=RunStatus.FAILED),
        timers_set=[timer(5)],
        hooks=[hook(b"h", "r1")],
    )

    store.append(told.watch(bad, "bad"))
    await store.flush()

    assert told.words == [("bad", "ChangeRefused")]
    assert "run r1" in str(told.errors[0])
    assert [stored.seq for stored in await store.events("r1")] == [1]
    assert await store.run("r1") == run("r1")
    assert await store.timers(until_ms=10, limit=10) == []
    assert await store.hooks() == []


async def test_a_refused_change_takes_later_ones_of_its_run_along_and_no_others(store: Store) -> None:
    told = Told()
    for name, run_id, seqs in (("a1", "a", [1]), ("b1", "b", [1, 1]), ("a2", "a", [2]), ("b2", "b", [2])):
        store.append(told.watch(Change(run_id, [event(run_id, seq) for seq in seqs]), name))

    await store.flush()

    assert told.words == ["a1", ("b1", "ChangeRefused"), "a2", ("b2", "ChangeRefused")]
    assert await store.events("b") == []
    assert [stored.seq for stored in await store.events("a")] == [1, 2]
    assert not store.failed.done()


async def test_after_a_refusal_the_run_goes_on_with_what_is_appended_next(store: Store) -> None:
    told = Told()
    store.append(told.watch(Change("r1", [event("r1", 1), event("r1", 1)]), "bad"))
    await store.flush()

    await put(store, Change("r1", [event("r1", 1)]))

    assert isinstance(told.errors[0], ChangeRefused)
    assert len(await store.events("r1")) == 1


# --- events


async def test_an_event_comes_back_as_it_was(store: Store) -> None:
    whole = event(
        "r1",
        1,
        step='naïve "step"\u2028#0',
        data='{"text": "żółć \\u0000 𝄞"}'.encode(),
        input=b"[1, 2.50, null]",
        meta=Meta(attempt=3, started_at_ms=5, finished_at_ms=9, after=2, by="ada", fatal=True, kind="action"),
    )
    bare = event("r1", 2, type="run_started", step=None, data=None)

    await put(store, Change("r1", [whole, bare]))

    assert await store.events("r1") == [whole, bare]


@pytest.mark.parametrize("size", [64 * 1024, 64 * 1024 + 1, 3_000_000])
async def test_values_of_any_size_come_back_as_they_were(store: Store, size: int) -> None:
    large = b'"' + b"x" * (size - 2) + b'"'
    sent = [event("r1", 1, data=large, input=large), event("r1", 2, data=large), event("r1", 3)]

    await put(store, Change("r1", sent), Change("r2", [event("r2", 1, data=large)]))

    assert await store.events("r1") == sent
    assert [row.event for row in await store.feed(0)] == [*sent, event("r2", 1, data=large)]
    assert (await store.ends(["r1"]))["r1"] == (sent[0], sent[2])


async def test_events_are_read_after_a_place_and_up_to_a_limit(store: Store) -> None:
    await put(store, Change("r1", [event("r1", seq) for seq in range(1, 11)]), Change("r2", [event("r2", 1)]))

    async def seqs(**question: Any) -> list[int]:
        return [stored.seq for stored in await store.events("r1", **question)]

    assert await seqs() == list(range(1, 11))
    assert await seqs(after=7) == [8, 9, 10]
    assert await seqs(after=2, limit=3) == [3, 4, 5]
    assert await seqs(after=10) == []
    assert await seqs(limit=0) == []
    assert await store.events("nobody") == []


@pytest.mark.parametrize("count", [1, 7, 8, 9, 63, 64, 65, 73, 137])
async def test_a_batch_of_any_size_is_stored_whole_new_rows_and_changed_ones(
    store: Store, count: int
) -> None:
    rows = [run(f"r{number:03}") for number in range(count)]
    await put(store, *[Change(row.run_id, [event(row.run_id, 1)], run=row) for row in rows])
    newer = [
        replace(row, seq=2, status=RunStatus.WAITING, waiting_on=b'[{"kind": "hook"}]') for row in rows[::2]
    ] + [run("new")]

    await put(store, *[Change(row.run_id, [event(row.run_id, row.seq)], run=row) for row in newer])

    for row in [*newer, *rows[1::2]]:
        assert await store.run(row.run_id) == row
    assert [len(await store.events(row.run_id)) for row in rows] == [
        2 - number % 2 for number in range(count)
    ]


async def test_more_events_than_fit_one_batch_are_stored(store: Store) -> None:
    await put(
        store,
        *[Change(f"r{number}", [event(f"r{number}", seq) for seq in range(1, 4)]) for number in range(1_500)],
    )

    assert await store.feed_end() == 4_500
    assert [stored.seq for stored in await store.events("r1499")] == [1, 2, 3]


async def test_ends_are_the_first_and_newest_event_of_each_run(store: Store) -> None:
    await put(
        store,
        Change("r1", [event("r1", seq) for seq in range(1, 6)]),
        Change("r2", [event("r2", 1)]),
        Change("r3", [event("r3", 1), event("r3", 2)]),
    )

    ends = await store.ends(["r2", "nobody", "r1"])

    assert ends == {"r1": (event("r1", 1), event("r1", 5)), "r2": (event("r2", 1), event("r2", 1))}
    assert await store.ends([]) == {}


async def test_the_feed_is_every_event_in_order_of_storing(store: Store) -> None:
    assert (await store.feed(0), await store.feed_end()) == ([], 0)
    await put(store, *[Change(run_id, [event(run_id, seq)]) for seq in (1, 2) for run_id in ("a", "b", "c")])

    feed = await store.feed(0, limit=4)
    rest = await store.feed(feed[-1].rowid)

    assert [(row.event.run_id, row.event.seq) for row in feed + rest] == [
        ("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2), ("c", 2),
    ]  # fmt: skip
    assert [row.rowid for row in feed + rest] == sorted(row.rowid for row in feed + rest)
    assert await store.feed_end() == rest[-1].rowid


# --- runs


async def test_a_run_row_comes_back_whole_and_the_last_of_a_batch_counts(store: Store) -> None:
    full = run(
        "r1",
        status=RunStatus.WAITING,
        trigger="cron",
        seq=9,
        started_at_ms=1,
        finished_at_ms=2,
        attempt=3,
        due_ms=4,
        subscriber="ada",
        code_version="c1",
        waiting_on=b'[{"kind": "hook", "step": "hook#0"}]',
        idempotency_key="k",
    )

    await put(store, Change("r1", run=run("r1")), Change("r1", run=run("r1", seq=5)), Change("r1", run=full))

    assert await store.run("r1") == full
    assert await store.run("nobody") is None


async def test_runs_are_paged_newest_first_and_an_update_does_not_move_one(store: Store) -> None:
    for number in range(10):
        await put(store, Change(f"r{number}", run=run(f"r{number}")))

    first = await store.runs(EVERY, limit=4)
    await put(
        store,
        Change("r0", run=run("r0", status=RunStatus.SUCCEEDED)),
        Change("r5", run=run("r5", seq=3)),
        Change("new", run=run("new")),
    )
    second = await store.runs(EVERY, cursor=first.next_cursor, limit=4)
    third = await store.runs(EVERY, cursor=second.next_cursor, limit=4)

    assert [row.run_id for row in first.rows] == ["r9", "r8", "r7", "r6"]
    assert [row.run_id for row in second.rows] == ["r5", "r4", "r3", "r2"]
    assert [row.run_id for row in third.rows] == ["r1", "r0"]
    assert third.next_cursor is None


async def test_a_page_that_holds_the_last_run_has_no_cursor(store: Store) -> None:
    assert (await store.runs(EVERY)).next_cursor is None
    await put(store, *[Change(f"r{number}", run=run(f"r{number}")) for number in range(4)])

    assert (await store.runs(EVERY, limit=4)).next_cursor is None
    assert (await store.runs(EVERY, limit=3)).next_cursor is not None


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "9" * 40, "٣"])
async def test_a_cursor_that_no_page_held_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        await store.runs(EVERY, cursor=cursor)


async def test_runs_are_filtered_by_workflow_status_and_creation(store: Store) -> None:
    statuses = [RunStatus.RUNNING, RunStatus.FAILED, RunStatus.SUCCEEDED]
    for number in range(12):
        row = run(
            f"r{number}",
            workflow="even" if number % 2 == 0 else "odd",
            status=statuses[number % 3],
            created_at_ms=number,
        )
        await put(store, Change(row.run_id, run=row))

    async def ids(**where: Any) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            page = await store.runs(RunFilter(**where), cursor=cursor, limit=2)
            found += [row.run_id for row in page.rows]
            if (cursor := page.next_cursor) is None:
                return found

    assert await ids(workflow="even") == ["r10", "r8", "r6", "r4", "r2", "r0"]
    assert await ids(statuses=(RunStatus.FAILED,)) == ["r10", "r7", "r4", "r1"]
    assert await ids(statuses=(RunStatus.SUCCEEDED, RunStatus.RUNNING)) == [
        "r11", "r9", "r8", "r6", "r5", "r3", "r2", "r0",
    ]  # fmt: skip
    assert await ids(since_ms=9) == ["r11", "r10", "r9"]
    assert await ids(workflow="odd", statuses=(RunStatus.FAILED,), since_ms=2) == ["r7"]
    assert await ids(workflow="nothing") == []


async def test_runs_in_some_states_are_listed_oldest_first(store: Store) -> None:
    for number, status in enumerate(
        [RunStatus.RUNNING, RunStatus.SLEEPING, RunStatus.FAILED, RunStatus.RUNNING]
    ):
        await put(store, Change(f"r{number}", run=run(f"r{number}", status=status)))

    found = await store.runs_in([RunStatus.SLEEPING, RunStatus.RUNNING])

    assert [row.run_id for row in found] == ["r0", "r1", "r3"]
    assert await store.runs_in([]) == []


async def test_what_runs_wait_for_is_counted(store: Store) -> None:
    assert await store.waits(1_000) == Waits(0, 0, 0)
    await put(
        store,
        Change(
            "a", timers_set=[timer(999, "a"), timer(1_000, "a"), timer(1_001, "a")], hooks=[hook(b"1", "a")]
        ),
        Change("a", hooks=[hook(b"2", "a"), hook(b"3", "a", status="resumed")]),
    )

    assert await store.waits(1_000) == Waits(hooks=2, timers=3, timers_due=2)


async def test_runs_are_counted_by_status(store: Store) -> None:
    assert await store.run_counts() == {}
    await put(
        store,
        Change("a", run=run("a")),
        Change("b", run=run("b")),
        Change("c", run=run("c", status=RunStatus.HELD)),
        Change("b", run=run("b", status=RunStatus.SUCCEEDED)),
    )

    assert await store.run_counts() == {RunStatus.RUNNING: 1, RunStatus.HELD: 1, RunStatus.SUCCEEDED: 1}


async def test_an_idempotency_key_finds_the_run_of_its_own_workflow(store: Store) -> None:
    await put(
        store,
        Change("a", run=run("a", workflow="one", idempotency_key="k")),
        Change("b", run=run("b", workflow="two", idempotency_key="k")),
        Change("c", run=run("c", workflow="two")),
    )

    found = await store.run_by_key("two", "k")

    assert found is not None
    assert found.run_id == "b"
    assert await store.run_by_key("three", "k") is None
    assert await store.run_by_key("two", "K") is None


# --- hooks and timers


async def test_a_hook_is_found_by_its_token_and_replaced_whole(store: Store) -> None:
    first = hook(b"\x00\x01", "r1", name="approve", details=b'{"a": 1}', schema=b"{}", expires_at_ms=9)
    answered = hook(b"\x00\x01", "r1", status="resumed", answered_at_ms=5, answered_by="ada", get="confirm")

    await put(store, Change("r1", hooks=[first]))
    assert await store.hook(b"\x00\x01") == first
    await put(store, Change("r1", hooks=[answered]))

    assert await store.hook(b"\x00\x01") == answered
    assert await store.hook(b"\x00") is None


async def test_hooks_are_listed_oldest_first_by_run_and_state(store: Store) -> None:
    hooks = [hook(bytes([9 - number]), f"r{number % 2}") for number in range(4)]
    for row in hooks:
        await put(store, Change(row.run_id, hooks=[row]))
    closed = hook(hooks[0].token_hash, "r0", status="expired")
    await put(store, Change("r0", hooks=[closed]))

    assert await store.hooks() == hooks[1:]
    assert await store.hooks(only_open=False) == [closed, *hooks[1:]]
    assert await store.hooks(run_id="r0") == [hooks[2]]
    assert await store.hooks(run_id="r0", only_open=False) == [closed, hooks[2]]


async def test_timers_come_earliest_first_with_ties_by_run_and_step(store: Store) -> None:
    due = [timer(5, "b"), timer(3, "z"), timer(5, "a", "y"), timer(5, "a", "x", boot="b1"), timer(9)]
    assert await store.next_timer_ms() is None
    await put(store, Change("r1", timers_set=due))

    assert await store.next_timer_ms() == 3
    assert await store.timers(until_ms=8, limit=10) == [due[1], due[3], due[2], due[0]]
    assert await store.timers(until_ms=9, limit=2) == [due[1], due[3]]
    assert await store.timers(until_ms=2, limit=2) == []


async def test_a_cleared_timer_is_gone_and_may_be_set_again(store: Store) -> None:
    await put(
        store,
        Change("r1", timers_set=[timer(5), timer(6)]),
        Change("r1", timers_cleared=[timer(5), timer(7)]),
    )
    assert await store.timers(until_ms=10, limit=10) == [timer(6)]

    await put(
        store,
        Change("r1", timers_cleared=[timer(6)]),
        Change("r1", timers_set=[timer(6, boot="b2")], timers_cleared=[timer(6)]),
    )

    assert await store.timers(until_ms=10, limit=10) == [timer(6, boot="b2")]


async def test_a_timer_set_and_cleared_in_one_batch_is_gone(store: Store) -> None:
    await put(store, Change("r1", timers_set=[timer(5)]), Change("r1", timers_cleared=[timer(5)]))

    assert await store.next_timer_ms() is None


# --- deleting what is over


def finished(run_id: str, at_ms: int, **fields: Any) -> Change:
    row = run(run_id, status=RunStatus.SUCCEEDED, seq=2, finished_at_ms=at_ms, **fields)
    return Change(
        run_id, [event(run_id, 1), event(run_id, 2)], run=row, hooks=[hook(run_id.encode(), run_id)]
    )


async def test_prune_deletes_finished_runs_with_all_that_is_theirs_oldest_first(store: Store) -> None:
    await put(store, *[finished(f"r{at_ms}", at_ms, idempotency_key="k") for at_ms in (30, 10, 20, 40)])
    await put(store, Change("r10", timers_set=[timer(5, "r10")]))
    assert await store.prunable(31) == 3

    first = await store.prune(31, limit=2)
    second = await store.prune(31, limit=2)

    assert (first.run_ids, first.events, first.more) == (("r10", "r20"), 4, True)
    assert (second.run_ids, second.events, second.more) == (("r30",), 2, False)
    assert [row.run_id for row in (await store.runs(EVERY)).rows] == ["r40"]
    assert await store.run("r10") is None
    assert await store.events("r10") == []
    assert await store.newest_seq("r10") == 0
    assert await store.ends(["r10", "r40"]) == {"r40": (event("r40", 1), event("r40", 2))}
    assert [found.run_id for found in await store.hooks(only_open=False)] == ["r40"]
    assert await store.next_timer_ms() is None
    assert await store.prunable(31) == 0
    found = await store.run_by_key("digest", "k")
    assert found is not None
    assert found.run_id == "r40"


async def test_prune_leaves_every_run_that_is_not_over(store: Store) -> None:
    unfinished = [status for status in RunStatus if status not in FINISHED]
    await put(
        store, *[Change(status, [event(status, 1)], run=run(status, status=status)) for status in unfinished]
    )
    await put(store, Change("again", [event("again", 1)], run=run("again", status=RunStatus.QUEUED)))

    assert await store.prune(10**15, limit=100) == Pruned((), 0, more=False)
    assert await store.prunable(10**15) == 0


async def test_prune_keeps_the_places_of_the_feed(store: Store) -> None:
    await put(store, finished("old", 1), Change("young", [event("young", 1)]), finished("older", 0))
    end = await store.feed_end()

    await store.prune(10, limit=10)
    await put(store, Change("young", [event("young", 2)]))
    feed = await store.feed(0)

    assert [(row.event.run_id, row.event.seq) for row in feed] == [("young", 1), ("young", 2)]
    assert feed[0].rowid == 3
    assert feed[1].rowid > end
    assert [row.event.seq for row in await store.feed(end)] == [2]


async def test_prune_deletes_values_kept_aside_unless_another_run_has_them_too(store: Store) -> None:
    large = b'"' + b"x" * 100_000 + b'"'
    mine = Change(
        "r1", [event("r1", 1, data=large)], run=run("r1", status=RunStatus.FAILED, finished_at_ms=1)
    )
    theirs = Change("r2", [event("r2", 1, input=large)], run=run("r2"))
    await put(store, mine, theirs)

    await store.prune(10, limit=10)

    assert await store.events("r2") == [event("r2", 1, input=large)]


async def test_a_change_of_a_run_that_was_just_deleted_is_lost(store: Store) -> None:
    await put(store, finished("r1", 1))
    await store.prune(10, limit=10)
    told = Told()

    store.append(told.watch(Change("r1", [event("r1", 3)], run=run("r1")), "late"))
    store.append(told.watch(Change("r2", [event("r2", 1)]), "other"))
    await store.flush()

    assert told.words == [("late", "UnknownRun"), "other"]
    assert await store.run("r1") is None
    assert await store.events("r1") == []


async def test_size_counts_rows_and_names_the_biggest_workflows(store: Store) -> None:
    await put(store, finished("a", 1), finished("b", 1, workflow="small"), finished("c", 1))

    size = await store.size()

    assert {name: size.rows[name] for name in NAMED} == {
        "event": 6, "run": 3, "hook": 3, "timer": 0, "firing": 0, "fired_key": 0,
    }  # fmt: skip
    assert size.workflows == [WorkflowSize("digest", 2, 4), WorkflowSize("small", 1, 2)]


async def test_a_log_without_free_pages_has_nothing_to_give_back(store: Store) -> None:
    assert not await store.reclaim(pages=10, keep_pages=1_000_000)


# --- code versions


def code(version: str = "v1", workflow: str = "digest") -> CodeRow:
    return CodeRow(workflow, version, b'{"digest":{}}', b'{"digest":[]}', b'{"digest.py":"x"}')


async def test_the_code_of_a_run_is_kept_once_for_its_version(store: Store) -> None:
    later = replace(code(), files=b"{}")
    await put(store, Change("r1", run=run("r1", code_version="v1"), codes=[code()]))
    await put(store, Change("r2", run=run("r2", code_version="v1"), codes=[later, code("v2")]))

    assert await store.code("digest", "v1") == code()
    assert await store.code("digest", "v2") == code("v2")
    assert await store.code("digest", "v3") is None
    assert await store.code("report", "v1") is None


async def test_the_code_of_a_version_goes_with_the_last_of_its_runs(store: Store) -> None:
    runs = (("r1", 10, "v1"), ("r2", 30, "v1"), ("r3", 20, "v2"), ("r4", 90, "v3"))
    for run_id, at_ms, version in runs:
        change = finished(run_id, at_ms, code_version=version)
        change.codes = [code(version)]
        await put(store, change)

    async def kept() -> list[str]:
        return [version for version in ("v1", "v2", "v3") if await store.code("digest", version)]

    await store.prune(15, limit=10)
    assert await kept() == ["v1", "v2", "v3"]
    await store.prune(25, limit=10)
    assert await kept() == ["v1", "v3"]
    await store.prune(40, limit=10)
    assert await kept() == ["v3"]
