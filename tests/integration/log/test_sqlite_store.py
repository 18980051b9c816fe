"""What only the log in a file can show: reopening, damage, plans, large values kept aside."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from ksl.errors import DamagedEvent, StoreFailed
from ksl.log import migrations, pruning, reader, rows, selection
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change
from ksl.records import Meta, RunFilter, RunStatus, RunTerm

from tests.integration.log.changes import event, hook, put, run, timer


@contextmanager
def shell(path: Path) -> Generator[sqlite3.Connection]:
    """As a person with the sqlite3 shell, while no server runs."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ksl.db"


async def test_everything_is_there_after_closing_and_opening_again(path: Path) -> None:
    sent = [event("r1", 1, meta=Meta(by="ada")), event("r1", 2, data=b'"' + b"x" * 100_000 + b'"')]
    store = await SqliteStore.open(path, boot="b1")
    await put(store, Change("r1", sent, run=run("r1"), timers_set=[timer(5)], hooks=[hook(b"h", "r1")]))
    await store.close()
    await store.close()

    again = await SqliteStore.open(path, boot="b2")

    assert await again.events("r1") == sent
    assert await again.run("r1") == run("r1")
    assert await again.timers(until_ms=5, limit=9) == [timer(5)]
    assert await again.hooks() == [hook(b"h", "r1")]
    assert await again.suspects() == {}
    await again.close()


async def test_the_folder_and_its_files_are_for_their_owner_alone(path: Path) -> None:
    store = await SqliteStore.open(path, boot="b1")
    await put(store, Change("r1", [event("r1", 1)]))

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (path.parent, *path.parent.iterdir())}
    await store.close()

    assert modes == {"data": 0o700, "ksl.db": 0o600, "ksl.db-wal": 0o600, "ksl.db-shm": 0o600}


async def test_closing_leaves_one_file_with_everything_in_it(path: Path) -> None:
    store = await SqliteStore.open(path, boot="b1")
    await put(store, Change("r1", [event("r1", 1)]))
    await store.close()

    assert [file.name for file in path.parent.iterdir()] == ["ksl.db"]


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("process", 1)])
async def test_the_connection_that_writes_is_set_up_as_the_design_says(
    path: Path, durability: Literal["full", "process"], synchronous: int
) -> None:
    store = await SqliteStore.open(path, durability=durability, boot="b1")
    wanted = {
        "journal_mode": "wal",
        "synchronous": synchronous,
        "wal_autocheckpoint": 0,
        "auto_vacuum": 2,
        "page_size": 4096,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "journal_size_limit": 16 * 1024 * 1024,
        "busy_timeout": 5_000,
    }
    writing = store._writing  # pyright: ignore[reportPrivateUsage]  # the only way to ask this connection
    assert writing is not None
    found = await writing.ask(lambda connection: {name: pragma(connection, name) for name in wanted})
    await store.close()
    assert found == wanted


def pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


async def test_a_person_can_read_the_history_in_the_shell(path: Path) -> None:
    store = await SqliteStore.open(path, boot="b1")
    large = b'"' + b"x" * 100_000 + b'"'
    await put(store, Change("r1", [event("r1", 1, at_ms=1_500), event("r1", 2, data=large)]))
    await store.close()

    with shell(path) as connection:
        found = connection.execute("SELECT seq, type, at, data FROM history").fetchall()

    assert found[0] == (1, "step_completed", "1970-01-01T00:00:01.500Z", '{"n": 1}')
    assert found[1][3] == large.decode()


async def test_a_question_after_closing_is_answered_with_what_happened(path: Path) -> None:
    store = await SqliteStore.open(path, boot="b1")
    await store.close()

    with pytest.raises(StoreFailed, match="is closed"):
        await store.run("r1")


# --- large values


async def test_equal_large_values_are_kept_once(path: Path) -> None:
    large = b'"' + b"x" * 100_000 + b'"'
    store = await SqliteStore.open(path, boot="b1")
    await put(store, *[Change(f"r{number}", [event(f"r{number}", 1, data=large)]) for number in range(5)])
    await store.close()

    with shell(path) as connection:
        assert connection.execute("SELECT hash, content FROM blob").fetchall() == [
            (hashlib.sha256(large).digest(), large)
        ]
        assert connection.execute("SELECT count(*) FROM event WHERE data IS NULL").fetchone() == (5,)


# --- damage


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE event SET data = '{\"n\": 2}' WHERE seq = 2 AND run_id = 'r1'",
        "UPDATE event SET input = data, data = NULL WHERE seq = 2 AND run_id = 'r1'",
        "UPDATE event SET at_ms = at_ms + 1 WHERE seq = 2 AND run_id = 'r1'",
        "UPDATE event SET step = 'other#0' WHERE seq = 2 AND run_id = 'r1'",
        "UPDATE event SET type = 'step_failed' WHERE seq = 2 AND run_id = 'r1'",
        "UPDATE event SET meta = NULL WHERE seq = 2 AND run_id = 'r1'",
        "UPDATE event SET run_id = 'r1', seq = 2 WHERE run_id = 'r3' AND 0 < (SELECT 1)",
        "UPDATE event SET step = CAST(x'ff' AS TEXT) WHERE seq = 2 AND run_id = 'r1'",
        "UPDATE blob SET content = x'00'",
        "DELETE FROM blob",
    ],
)
async def test_a_damaged_event_is_named_and_other_runs_are_read(path: Path, damage: str) -> None:
    large = b'"' + b"x" * 100_000 + b'"'
    store = await SqliteStore.open(path, boot="b1")
    history = [event("r1", 1), event("r1", 2, meta=Meta(by="ada"), data=large if "blob" in damage else b"1")]
    await put(store, Change("r1", history), Change("r2", [event("r2", 1)]), Change("r3", [event("r3", 1)]))
    await store.close()
    with shell(path) as connection:
        if "'r3'" in damage:
            connection.execute("DELETE FROM event WHERE run_id = 'r1' AND seq = 2")
        connection.execute(damage)

    store = await SqliteStore.open(path, boot="b2")
    with pytest.raises(DamagedEvent) as caught:
        await store.events("r1")

    assert caught.value.run_id == "r1"
    assert caught.value.seq == (0 if "ff" in damage else 2)
    assert "run r1" in str(caught.value)
    assert await store.events("r2") == [event("r2", 1)]
    if "ff" not in damage:
        assert "r1" not in await store.ends(["r1", "r2"])
        assert ("r1", 2) not in [(row.event.run_id, row.event.seq) for row in await store.feed(0)]
    await store.close()


async def test_a_page_of_damaged_events_is_not_the_end_of_the_feed(path: Path) -> None:
    store = await SqliteStore.open(path, boot="b1")
    await put(store, Change("r1", [event("r1", seq) for seq in range(1, 10)]))
    await store.close()
    with shell(path) as connection:
        connection.execute("UPDATE event SET crc = crc + 1 WHERE seq BETWEEN 3 AND 7")

    store = await SqliteStore.open(path, boot="b2")
    feed = await store.feed(2, limit=2)
    await store.close()

    assert [row.event.seq for row in feed] == [8, 9]


# --- deaths


async def abandon(store: SqliteStore) -> None:
    """What a death leaves: everything stored, and the database not marked as closed."""
    await store.flush()
    for link in (store._reading, store._writing):  # pyright: ignore[reportPrivateUsage]
        assert link is not None
        await link.close()
    writer = store._writer  # pyright: ignore[reportPrivateUsage]
    assert writer is not None
    await writer.stop()


async def test_deaths_of_a_running_run_are_counted_until_it_makes_progress(path: Path) -> None:
    store = await SqliteStore.open(path, boot="b0")
    await put(
        store,
        Change("stuck", [event("stuck", 1)], run=run("stuck")),
        Change("moves", [event("moves", 1)], run=run("moves")),
        Change("waits", [event("waits", 1)], run=run("waits", status=RunStatus.WAITING)),
        Change("empty", run=run("empty")),
    )
    await abandon(store)
    counts: list[dict[str, int]] = []
    for boot in range(1, 4):
        store = await SqliteStore.open(path, boot=f"b{boot}")
        counts.append(await store.suspects())
        # A row is written anew at each recovery; what the database counts beside it stays.
        await put(
            store,
            Change("stuck", run=run("stuck", seq=1)),
            Change("moves", [event("moves", 1 + boot)], run=run("moves")),
        )
        await abandon(store)

    assert counts == [
        {"stuck": 1, "moves": 1, "empty": 1},
        {"stuck": 2, "moves": 1, "empty": 2},
        {"stuck": 3, "moves": 1, "empty": 3},
    ]


async def test_a_run_that_is_acquitted_is_counted_from_the_beginning(path: Path) -> None:
    store = await SqliteStore.open(path, boot="b0")
    await put(store, *(Change(name, [event(name, 1)], run=run(name)) for name in ("long", "deadly")))
    await abandon(store)
    for boot in range(1, 3):
        store = await SqliteStore.open(path, boot=f"b{boot}")
        if boot == 2:
            await store.acquit("long")
        await abandon(store)

    store = await SqliteStore.open(path, boot="b3")

    assert await store.suspects() == {"long": 1, "deadly": 3}
    await store.close()


async def test_after_a_clean_close_nobody_is_a_suspect(path: Path) -> None:
    store = await SqliteStore.open(path, boot="b1")
    await put(store, Change("r1", [event("r1", 1)], run=run("r1")))
    await store.close()

    store = await SqliteStore.open(path, boot="b2")

    assert await store.suspects() == {}
    await store.close()


# --- reading only


async def test_a_reader_sees_what_a_killed_writer_left_and_changes_nothing(path: Path) -> None:
    store = await SqliteStore.open(path, boot="b1")
    await put(store, Change("r1", [event("r1", 1)], run=run("r1")))

    reading = await SqliteStore.open_reader(path)
    assert await reading.events("r1") == [event("r1", 1)]
    with pytest.raises(RuntimeError, match="reading only"):
        reading.append(Change("r1", [event("r1", 2)]))
    assert await reading.suspects() == {}
    assert (await reading.stats()).batches == 0
    await reading.flush()
    await reading.close()
    await abandon(store)

    store = await SqliteStore.open(path, boot="b2")
    assert await store.suspects() == {"r1": 1}
    await store.close()


# --- the plans of hot questions

HOT = {
    "events": (reader.EVENTS, ("r1", 0, -1)),
    "ends": (reader.ENDS, ('["r1"]',)),
    "feed": (reader.FEED, (0, 10)),
    "feed end": (reader.FEED_END, ()),
    "run": (reader.RUN, ("r1",)),
    "run by key": (reader.RUN_BY_KEY, ("w", "k")),
    "runs in": (reader.RUNS_IN, ("running",)),
    "hook": (reader.HOOK, (b"h",)),
    "open hooks": (reader.HOOKS_OPEN, ()),
    "hooks of a run": (reader.HOOKS_OF_RUN, ("r1",)),
    "timers": (reader.TIMERS, (5, 0, "", "", "", 10)),
    "next timer": (reader.NEXT_TIMER, ()),
    "activity": (reader.ACTIVITY, (5, 10, 10)),
    "code of the newest run": (reader.CODE_OF_NEWEST, ("w",)),
    "retries": (selection.RETRIES, ('["r1"]',)),
    "runs by id": (
        reader.runs_question(RunFilter(terms=(RunTerm("id", ("a", "b")),)), None)[0],
        ("a", "b", 9, 10),
    ),
    "newest seq": (reader.NEWEST_SEQ, ("r1",)),
    "runs to prune": (pruning.OLD_RUNS, (5, 10)),
    "a blob nobody refers to": (pruning.UNUSED_BLOB, (b"h",)),
    "clear a timer": (rows.TIMER_CLEAR, (5, "r1", "s", "sleep")),
    "runs of a status": (reader.runs_question(RunFilter(), RunStatus.HELD)[0], ("held", 9, 10)),
    "runs of a workflow": (reader.runs_question(RunFilter(workflow="w"), None)[0], ("w", 9, 10)),
}


@pytest.fixture(scope="module")
def empty_database() -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrations.migrate(connection, 0)
        yield connection


@pytest.mark.parametrize("question", HOT)
def test_a_hot_question_walks_an_index_and_sorts_nothing(
    empty_database: sqlite3.Connection, question: str
) -> None:
    sql, values = HOT[question]
    plan = [row[3] for row in empty_database.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    # `asked` is the list that was asked for, `soonest` one of it; min() and max() of an indexed column read one entry.
    lists = ("asked", "soonest", "newest", "json_each")
    walks = [step for step in plan if step.startswith("SCAN") and not any(name in step for name in lists)]
    assert not walks or question in ("next timer", "feed end", "open hooks"), plan
    sorts = [step for step in plan if "TEMP B-TREE" in step]
    assert not sorts or question in ("ends", "retries", "runs by id", "activity"), plan


def test_runs_without_a_filter_are_walked_in_the_order_they_are_listed(
    empty_database: sqlite3.Connection,
) -> None:
    sql, _ = reader.runs_question(RunFilter(), None)
    plan = [row[3] for row in empty_database.execute(f"EXPLAIN QUERY PLAN {sql}", (9, 10))]

    assert plan == ["SEARCH run USING INTEGER PRIMARY KEY (rowid<?)"]
