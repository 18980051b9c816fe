"""No server: since when, and one that is started from the screens and outlives them. What keeps a database closed."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from ksl.build.config import load_settings
from ksl.cli.background import LOG_NAME, Background
from ksl.cli.doors import ProjectDoors
from ksl.log.lock import read_holder
from ksl.tui.app import KslApp
from ksl.tui.dialogs import View
from ksl.tui.starting import NotStarted, Stopped

from tests.integration.api.serving import serving
from tests.tui.app import runs_of, text_of, until

NOW_MS = 1_750_000_000_000


class Told:
    """A starter that knows when, and starts nothing."""

    def __init__(self, stopped: Stopped | None) -> None:
        self._stopped = stopped

    def stopped(self) -> Stopped | None:
        return self._stopped

    async def start(self) -> str:
        raise NotStarted("It would not.", [])


@pytest.fixture
def doors(folder: Path) -> ProjectDoors:
    return ProjectDoors(load_settings(folder))


@pytest.fixture
def background(folder: Path) -> Iterator[Background]:
    """What it starts ends with the test."""
    yield Background(load_settings(folder))
    if (holder := read_holder(folder / ".ksl")) is not None:
        process = psutil.Process(holder.pid)
        process.send_signal(signal.SIGTERM)
        psutil.wait_procs([process], timeout=30)


@pytest.mark.parametrize(
    ("stopped", "said"),
    [
        (
            Stopped(NOW_MS - 180_000, in_order=True),
            "engine stopped 3m ago: showing the database, read-only. S starts it.",
        ),
        (Stopped(NOW_MS - 7_200_000, in_order=False), "engine died, 2h ago or later: showing the database"),
        (None, "no engine runs: showing the database, read-only. S starts it."),
    ],
)
async def test_it_says_since_when_there_is_no_server(
    doors: ProjectDoors, stopped: Stopped | None, said: str
) -> None:
    app = KslApp(doors, now_ms=lambda: NOW_MS, starter=Told(stopped))
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: said in text_of(app))
    finally:
        await doors.aclose()


async def test_the_lock_tells_when_a_server_stopped_in_order(folder: Path, background: Background) -> None:
    assert background.stopped() is None
    before_ms = int(time.time() * 1000) - 1
    async with serving(folder):
        pass
    stopped = background.stopped()
    assert stopped is not None
    assert stopped.in_order
    assert before_ms <= stopped.at_ms <= time.time() * 1000


async def test_a_lock_with_a_name_in_it_is_that_of_one_who_was_killed(
    folder: Path, background: Background
) -> None:
    async with serving(folder):
        named = (folder / ".ksl" / "lock").read_bytes()
    (folder / ".ksl" / "lock").write_bytes(named)
    os.utime(folder / ".ksl" / "lock", (1_000, 1_000))
    os.utime(folder / ".ksl" / "ksl.db", (2_000, 2_000))
    (folder / ".ksl" / "ksl.db-wal").unlink(missing_ok=True)
    assert background.stopped() == Stopped(2_000_000, in_order=False)


async def test_without_a_starter_the_key_does_nothing_and_the_command_is_told(doors: ProjectDoors) -> None:
    app = KslApp(doors)
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: "Start it with: ksl serve" in text_of(app))
            await pilot.press("S")
            await pilot.pause()
            assert app.link.state == "stored"
    finally:
        await doors.aclose()


@pytest.mark.process
async def test_a_server_that_is_started_here_outlives_the_screens(
    folder: Path, doors: ProjectDoors, background: Background
) -> None:
    app = KslApp(doors, starter=background)
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: app.link.state == "stored" and "No runs yet" in text_of(app))
            await pilot.press("S")
            await until(pilot, lambda: "is being started" in text_of(app))
            await until(pilot, lambda: app.link.state == "live", turns=6_000)
            holder = read_holder(folder / ".ksl")
            assert holder is not None
            await until(
                pilot, lambda: f"It is stopped by: kill {holder.pid}" in " ".join(text_of(app).split())
            )
            assert app.link.client is not None
            await app.link.client.post("/workflows/echo", "hello")
            await until(pilot, lambda: len(runs_of(app).rows) == 1)
    finally:
        await doors.aclose()
    assert read_holder(folder / ".ksl") == holder
    assert os.getsid(holder.pid) == holder.pid
    log = folder / ".ksl" / LOG_NAME
    assert "ksl serves" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.process
async def test_a_server_that_does_not_start_says_why(
    folder: Path, doors: ProjectDoors, background: Background
) -> None:
    (folder / "workflows" / "broken.py").write_text("import nothing_of_that_name\n")
    (folder / ".ksl").mkdir()
    (folder / ".ksl" / LOG_NAME).write_text("of the one before\n")
    app = KslApp(doors, starter=background)
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.link.state == "stored")
            await pilot.press("S")
            await until(
                pilot, lambda: isinstance(app.screen, View) and "did not start" in text_of(app), turns=6_000
            )
            seen = " ".join(text_of(app).replace("│", "").split())
            assert "ksl serve ended with exit code 1 before it answered. Its log: .ksl/serve.log" in seen
            assert "nothing_of_that_name" in seen
            assert "of the one before" not in seen
            await pilot.press("escape")
            await until(pilot, lambda: "read-only" in text_of(app))
    finally:
        await doors.aclose()


def locked(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    return connection


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("PRAGMA user_version = 9999", "newer ksl. Run: pip install --upgrade ksl"),
        ("PRAGMA user_version = 1", "older ksl. Run: ksl serve"),
        ("PRAGMA application_id = 7", "another program. Run: ksl doctor"),
    ],
)
async def test_a_database_that_cannot_be_shown_is_one_sentence_and_a_command(
    folder: Path, doors: ProjectDoors, harm: str, said: str
) -> None:
    async with serving(folder) as served:
        await served.ended("echo", "hello")
    with closing(sqlite3.connect(folder / ".ksl" / "ksl.db")) as connection:
        connection.execute(harm)
        connection.commit()
    await told(doors, said)


async def test_a_locked_or_damaged_database_is_one_too(folder: Path, doors: ProjectDoors) -> None:
    async with serving(folder) as served:
        await served.ended("echo", "hello")
    path = folder / ".ksl" / "ksl.db"
    with closing(locked(path)):
        await told(doors, "locked. Run: ksl doctor")
    path.write_bytes(b"no database at all " * 500)
    await told(doors, "header is damaged. Run: ksl doctor")


async def told(doors: ProjectDoors, said: str) -> None:
    app = KslApp(doors)
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: said in " ".join(text_of(app).split()))
            assert app.link.state == "searching"
    finally:
        await doors.aclose()
