"""A database that cannot be opened: one sentence that names the path and the cause."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ksl.errors import KslError, SchemaTooNew, StoreBusy, StoreUnopenable
from ksl.log import migrations
from ksl.log.sqlite import SqliteStore


async def refusal(path: Path) -> KslError:
    with pytest.raises(KslError) as caught:
        await SqliteStore.open(path, boot="b1")
    return caught.value


async def unopenable(path: Path, *, cause: str, named: Path | None = None) -> None:
    error = await refusal(path)
    assert isinstance(error, StoreUnopenable)
    assert str(error).startswith(f"{named or path} ")
    assert cause in str(error)


async def made(path: Path) -> Path:
    await (await SqliteStore.open(path, boot="b0")).close()
    return path


@contextmanager
def as_nobody() -> Generator[None]:
    """Root may write anywhere, so root becomes somebody else for a moment."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(mine)


def reachable(folder: Path) -> None:
    """pytest's folders are its user's alone, however many of them there are above."""
    for above in (folder, *folder.parents):
        if "pytest-of-" in str(above):
            above.chmod(0o755)


async def test_a_folder_in_the_place_of_the_database(tmp_path: Path) -> None:
    await unopenable(tmp_path, cause="is a folder")


async def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    await unopenable(tmp_path / "data" / "ksl.db", named=tmp_path / "data", cause="file exists")


async def test_a_folder_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o555)
    reachable(tmp_path)

    with as_nobody():
        await unopenable(folder / "ksl.db", cause="permission denied")


async def test_a_database_without_permission(tmp_path: Path) -> None:
    path = await made(tmp_path / "data" / "ksl.db")
    path.parent.chmod(0o777)
    path.chmod(0o444)
    reachable(tmp_path)

    with as_nobody():
        await unopenable(path, cause="permission denied")


async def test_a_read_only_file_system(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"cannot mount a read-only file system: {done.stderr.strip()}")
    try:
        await unopenable(folder / "ksl.db", cause="read-only")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "ksl.db"
    path.write_bytes(b"name,age\nada,36\n" * 100)

    await unopenable(path, cause="not an SQLite database")

    assert path.read_bytes() == b"name,age\nada,36\n" * 100


async def test_a_damaged_header(tmp_path: Path) -> None:
    path = await made(tmp_path / "ksl.db")
    content = bytearray(path.read_bytes())
    content[:100] = b"\xff" * 100
    path.write_bytes(content)

    await unopenable(path, cause="header is damaged")


async def test_a_damaged_schema(tmp_path: Path) -> None:
    path = await made(tmp_path / "ksl.db")
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996
    path.write_bytes(content)

    await unopenable(path, cause="is damaged")


async def test_a_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "ksl.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE song (name TEXT)")

    await unopenable(path, cause="of another program")

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


async def test_a_database_of_a_newer_ksl(tmp_path: Path) -> None:
    path = await made(tmp_path / "ksl.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 99")

    for opening in (SqliteStore.open(path, boot="b1"), SqliteStore.open_reader(path)):
        with pytest.raises(SchemaTooNew, match="schema version 99") as caught:
            await opening
        assert str(path) in str(caught.value)


async def test_a_database_that_another_program_keeps_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ksl.log.opening.BUSY_TIMEOUT_S", 0.01)
    path = await made(tmp_path / "ksl.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        error = await refusal(path)

    assert isinstance(error, StoreBusy)
    assert str(path) in str(error)


async def test_a_reader_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreUnopenable, match="does not exist"):
        await SqliteStore.open_reader(tmp_path / "ksl.db")

    assert list(tmp_path.iterdir()) == []


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "ksl.db"
    path.touch()

    store = await SqliteStore.open(path, boot="b1")

    assert await store.feed_end() == 0
    await store.close()


async def test_a_database_of_the_first_schema_is_brought_up_to_date_with_its_runs(tmp_path: Path) -> None:
    path = tmp_path / "ksl.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(migrations.scripts()[0])
        connection.execute(f"PRAGMA application_id = {migrations.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            'INSERT INTO run (run_id, workflow, status, "trigger", triggered_at_ms, created_at_ms, seq, attempt,'
            " code_version) VALUES ('r1', 'digest', 'waiting', 'api', 1, 1, 1, 1, 'v1')"
        )

    with pytest.raises(StoreUnopenable, match="older ksl"):
        await SqliteStore.open_reader(path)
    store = await SqliteStore.open(path, boot="b1")
    try:
        row = await store.run("r1")
        assert row is not None
        assert (row.status, row.code_version) == ("waiting", "v1")
        assert await store.code("digest", "v1") is None
    finally:
        await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(migrations.scripts()),)
