"""One process to a data folder."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ksl.errors import FolderHeld, StoreUnopenable
from ksl.log.lock import FolderLock, Holder, read_holder

HOLD = """
import asyncio, sys
from pathlib import Path
from ksl.log.lock import FolderLock

async def main():
    lock = FolderLock(Path(sys.argv[1]))
    await lock.acquire()
    lock.announce("http://127.0.0.1:4999")
    print("held", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    lock.release()

asyncio.run(main())
"""


async def holder_of(folder: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(folder),
        cwd=Path(__file__).parents[3], stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    return process


async def end(process: asyncio.subprocess.Process) -> None:
    """Closes its input, at which it releases the lock and ends."""
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


async def test_a_second_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    first = await holder_of(tmp_path)

    with pytest.raises(FolderHeld) as caught:
        await FolderLock(tmp_path).acquire()

    assert f"process {first.pid} at http://127.0.0.1:4999" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert read_holder(tmp_path) == Holder(first.pid, "http://127.0.0.1:4999")
    await end(first)


async def test_the_lock_of_a_killed_process_is_free_and_its_name_is_not_believed(tmp_path: Path) -> None:
    first = await holder_of(tmp_path)
    first.kill()
    await end(first)

    assert b"4999" in (tmp_path / "lock").read_bytes()
    assert read_holder(tmp_path) is None
    lock = FolderLock(tmp_path)
    await lock.acquire()
    lock.release()


async def test_who_waits_gets_the_folder_when_its_holder_leaves(tmp_path: Path) -> None:
    first = await holder_of(tmp_path)
    lock = FolderLock(tmp_path)
    waiting = asyncio.create_task(lock.acquire(wait_s=60))
    await asyncio.sleep(0)

    await end(first)
    await waiting

    with pytest.raises(FolderHeld, match=f"process {os.getpid()}"):
        await FolderLock(tmp_path).acquire()
    lock.release()
    assert read_holder(tmp_path) is None


async def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    fork = "    import os\n    if os.fork() == 0: os.read(0, 1); os._exit(0)\n"
    script = HOLD.replace('    print("held"', f'{fork}    print("held"')
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.kill()
        process.wait()

        lock = FolderLock(tmp_path)
        await lock.acquire()
        lock.release()


async def test_the_lock_file_is_private_and_stays(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    lock = FolderLock(folder)
    await lock.acquire()
    lock.release()
    lock.release()

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "lock").stat().st_mode) == 0o600


async def test_a_folder_nobody_made_has_no_holder(tmp_path: Path) -> None:
    assert read_holder(tmp_path / "nowhere") is None


async def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreUnopenable, match="lock cannot be opened"):
        await FolderLock(tmp_path).acquire()

    assert not (tmp_path / "elsewhere").exists()


async def test_a_file_in_the_place_of_the_data_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    with pytest.raises(StoreUnopenable, match=r"data is not a folder\. .* another `store\.path`"):
        await FolderLock(tmp_path / "data").acquire()


async def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnopenable, match=r"file/data cannot be made: not a directory"):
        await FolderLock(tmp_path / "file" / "data").acquire()


async def test_a_lock_not_held_announces_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        FolderLock(tmp_path).announce("http://127.0.0.1:1")
