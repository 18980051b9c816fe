"""Reading without a server: a real database that a process has left behind."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli
from ksl.log.checksum import event_crc, run_crc
from ksl.log.lock import FolderLock
from ksl.log.migrations import scripts
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change
from ksl.records import Event, EventType, HookRow, RunRow, RunStatus

NOON_MS = 1_795_262_400_000


def ksl(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args], catch_exceptions=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One run that ended and one that waits for a hook."""
    (tmp_path / "ksl.toml").write_text("")

    async def fill() -> None:
        store = await SqliteStore.open(tmp_path / ".ksl" / "ksl.db")
        runs: tuple[tuple[str, RunStatus, EventType], ...] = (
            ("run_1", RunStatus.SUCCEEDED, "run_completed"),
            ("run_2", RunStatus.WAITING, "hook_created"),
        )
        for run_id, status, last in runs:
            run = RunRow(run_id, "greeting", status, "api", NOON_MS, NOON_MS, seq=2, started_at_ms=NOON_MS)
            step = "hook#0" if last == "hook_created" else None
            events = [
                Event(run_id, 1, "run_created", None, NOON_MS, b'{"name":"Ada"}'),
                Event(run_id, 2, last, step, NOON_MS, b'{"message":"Hello, Ada"}'),
            ]
            hooks = [HookRow(b"h" * 32, run_id, "hook#0", "greeting", "open", "k", NOON_MS)] if step else []
            store.append(Change(run_id, events, run, hooks=hooks))
        await store.flush()
        await store.close()

    asyncio.run(fill())
    return tmp_path


def test_runs_are_listed_newest_first(project: Path):
    answer = json.loads(ksl(project, "runs", "list").stdout)
    assert [run["run_id"] for run in answer["runs"]] == ["run_2", "run_1"]
    one = json.loads(ksl(project, "runs", "list", "--status", "succeeded").stdout)
    assert [run["run_id"] for run in one["runs"]] == ["run_1"]
    same = json.loads(ksl(project, "runs", "list", "state:succeeded -state:failed").stdout)
    assert same == one


def test_a_filter_that_cannot_be_read_is_a_usage_error(project: Path):
    done = ksl(project, "runs", "list", "took:5s")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "took:>5s" in done.stderr


def test_a_status_that_is_none_is_a_usage_error(project: Path):
    done = ksl(project, "runs", "list", "--status", "done")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "succeeded" in done.stderr


def test_a_run_is_shown_with_its_events(project: Path):
    run = json.loads(ksl(project, "runs", "show", "run_1", "--include", "events,steps,logs").stdout)
    assert (run["status"], run["output"]) == ("succeeded", {"message": "Hello, Ada"})
    assert [event["seq"] for event in run["events"]] == [1, 2]
    assert (run["steps"], run["logs"]) == ([], [])


def test_an_unknown_run_exits_1(project: Path):
    for args in (("runs", "show", "run_9"), ("runs", "tail", "run_9"), ("hooks", "list", "--run", "run_9")):
        done = ksl(project, *args)
        assert (done.exit_code, done.stdout) == (1, ""), args
        assert "KSL414" in done.stderr


def test_tail_ends_where_nothing_more_will_come(project: Path):
    ended = ksl(project, "runs", "tail", "run_1")
    assert ([json.loads(line)["seq"] for line in ended.stdout.splitlines()], ended.exit_code) == ([1, 2], 0)
    waits = ksl(project, "runs", "tail", "run_2")
    assert waits.exit_code == 3
    assert "ksl serve" in waits.stderr


def test_doctor_finds_the_database_sound(project: Path):
    done = ksl(project, "doctor")
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["ok"]) == (0, True), answer
    found = {each["check"]: each["found"] for each in answer["checks"]}
    assert f"sound, schema {len(scripts())}, 2 runs" in found["database"]
    assert "nobody" in found["holder"]


def test_doctor_names_a_damaged_event_and_exits_1(project: Path):
    connection = sqlite3.connect(project / ".ksl" / "ksl.db")
    connection.execute("UPDATE event SET data = 'x' WHERE run_id = 'run_2' AND seq = 1")
    connection.commit()
    connection.close()
    done = ksl(project, "doctor")
    failed = [each for each in json.loads(done.stdout)["checks"] if each["level"] == "fail"]
    assert done.exit_code == 1
    assert [each["check"] for each in failed] == ["events"]
    assert "run_2" in failed[0]["found"]


def test_doctor_reads_runs_that_are_over_too_and_names_each_damaged_event(project: Path):
    with closing(sqlite3.connect(project / ".ksl" / "ksl.db")) as connection:
        connection.execute("UPDATE event SET data = 'x' WHERE run_id = 'run_1' AND seq = 2")
        connection.execute("UPDATE event SET step = CAST(X'ff' AS TEXT) WHERE run_id = 'run_2' AND seq = 1")
        connection.commit()
    checks = json.loads(ksl(project, "doctor").stdout)["checks"]
    found = [each["found"] for each in checks if each["check"] == "events"]
    assert [("run_1: event 2" in text, "run_2: event 1" in text) for text in found] == [
        (True, False),
        (False, True),
    ]


def test_doctor_says_why_a_run_is_held(project: Path):
    with closing(sqlite3.connect(project / ".ksl" / "ksl.db")) as connection:
        held = (
            run_crc("run_2"),
            9,
            "run_held",
            None,
            5,
            b'{"type": "ReplayMismatch", "message": "other step"}',
        )
        connection.execute(
            "INSERT INTO event (run_id, seq, type, at_ms, data, crc) VALUES ('run_2', 9, 'run_held', 5, ?, ?)",
            (held[5].decode(), event_crc(*held, None, None)),
        )
        connection.execute("UPDATE run SET status = 'held' WHERE run_id = 'run_2'")
        connection.commit()
    checks = json.loads(ksl(project, "doctor").stdout)["checks"]
    assert [each["found"] for each in checks if each["check"] == "held runs"] == [
        "run_2: ReplayMismatch: other step"
    ]


def test_doctor_notices_a_clock_behind_the_newest_event(project: Path):
    with closing(sqlite3.connect(project / ".ksl" / "ksl.db")) as connection:
        later_ms = time.time_ns() // 1_000_000 + 3_600_000
        crc = event_crc(run_crc("run_2"), 9, "run_started", None, later_ms, None, None, None)
        connection.execute(
            "INSERT INTO event (run_id, seq, type, at_ms, crc) VALUES ('run_2', 9, 'run_started', ?, ?)",
            (later_ms, crc),
        )
        connection.commit()
    done = ksl(project, "doctor")
    warned = [each["found"] for each in json.loads(done.stdout)["checks"] if each["level"] == "warn"]
    assert (done.exit_code, any("later than the clock says" in text for text in warned)) == (0, True)


@pytest.mark.parametrize(("store", "found"), [("ksl.db", "is not a file"), ("ksl.db/x", "is not a folder")])
def test_doctor_says_when_something_else_lies_where_the_data_should(tmp_path: Path, store: str, found: str):
    (tmp_path / "ksl.toml").write_text(f'[store]\npath = "{store}"\n')
    if store.endswith("x"):
        (tmp_path / "ksl.db").touch()
    else:
        (tmp_path / "ksl.db").mkdir()
    done = ksl(tmp_path, "doctor")
    failed = [each["found"] for each in json.loads(done.stdout)["checks"] if each["level"] == "fail"]
    assert (done.exit_code, failed) == (1, [f"{tmp_path / 'ksl.db'} {found}"])


def test_a_database_that_is_none_is_not_blamed_on_its_copy(project: Path):
    (project / ".ksl" / "ksl.db").write_bytes(b"no database at all" * 400)
    done = ksl(project, "backup", str(project / "copy"))
    assert done.exit_code == 4
    assert done.stderr.startswith("KSL500 The database could not be copied to ")
    assert not any("copy" in path.name for path in project.iterdir())


def test_doctor_says_when_the_database_is_none(project: Path):
    (project / ".ksl" / "ksl.db").write_bytes(b"no database at all" * 400)
    done = ksl(project, "doctor")
    failed = [each for each in json.loads(done.stdout)["checks"] if each["level"] == "fail"]
    assert (done.exit_code, [each["check"] for each in failed]) == (1, ["database"])
    listed = ksl(project, "runs", "list")
    assert (listed.exit_code, "KSL500" in listed.stderr) == (4, True)


def test_a_database_that_is_a_folder_is_one_paragraph_and_exit_4(tmp_path: Path):
    (tmp_path / "ksl.toml").write_text("")
    (tmp_path / ".ksl" / "ksl.db").mkdir(parents=True)
    done = ksl(tmp_path, "runs", "list")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "ksl.db is not a file" in done.stderr


async def test_reading_goes_on_while_a_command_has_the_folder(project: Path):
    lock = FolderLock(project / ".ksl")
    await lock.acquire()
    try:
        done = await asyncio.to_thread(ksl, project, "runs", "show", "run_1", "--field", "status")
    finally:
        lock.release()
    assert done.stdout == "succeeded\n"
