"""One process to a data folder.

A POSIX record lock, which the kernel drops when its holder dies and which a forked child does not inherit:
the workers of an action's process pool may outlive a killed server, and must not keep the folder from the
next one. Such a lock is also dropped when its process closes *any* descriptor of the file, so nothing else
may open it here; hence the table of held folders.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import msgspec

from ksl.errors import FolderHeld, StoreUnopenable

_RETRY_S = 0.02
# `read_holder` of another process takes the lock for an instant, and a holder writes its name an instant
# after taking it: even those who do not want to wait wait this long.
_PATIENCE_S = 0.1

_held: set[Path] = set()


class Holder(msgspec.Struct, frozen=True):
    pid: int
    url: str | None = None  # where it answers, once it does


class FolderLock:
    """`folder` is the data folder (`.ksl`); the lock is its file `lock`, which is never removed."""

    def __init__(self, folder: Path) -> None:
        self._path = _lock_path(folder)
        self._handle: int | None = None

    async def acquire(self, *, wait_s: float = 0.0) -> None:
        """Errors: FolderHeld, naming the holder's pid and URL, when it is not free within `wait_s`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max(wait_s, _PATIENCE_S)
        while not self._try():
            if loop.time() >= deadline:
                raise self._folder_held()
            await asyncio.sleep(_RETRY_S)

    def announce(self, url: str) -> None:
        """Tells those who find the folder held where to reach its holder."""
        if self._handle is None:
            raise RuntimeError(f"{self._path} is not held")
        _write(self._handle, Holder(os.getpid(), url))

    def release(self) -> None:
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None
            _held.discard(self._path)

    def _try(self) -> bool:
        if self._path in _held:
            return False
        handle = self._open()
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if isinstance(error, (BlockingIOError, PermissionError)):
                return False
            raise StoreUnopenable(
                f"{self._path} cannot be locked: {error.strerror}. Is it a network folder?"
            ) from error
        _write(handle, Holder(os.getpid()))
        self._handle = handle
        _held.add(self._path)
        return True

    def _open(self) -> int:
        folder = self._path.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise _unusable(f"The data folder {folder} is not a folder") from error
        except OSError as error:
            raise _unusable(f"The data folder {folder} cannot be made: {_cause(error)}") from error
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _unusable(f"{self._path} cannot be opened: {_cause(error)}") from error

    def _folder_held(self) -> FolderHeld:
        holder = Holder(os.getpid()) if self._path in _held else _read(self._path)
        who = "another ksl process" if holder is None else f"process {holder.pid}"
        where = f" at {holder.url}" if holder is not None and holder.url else ""
        return FolderHeld(
            f"{self._path.parent} is in use by {who}{where}. Use that one, or stop it first; nothing needs to"
            " be cleaned up after it."
        )


def read_holder(folder: Path) -> Holder | None:
    """Who holds the data folder now; None if nobody does, whatever the file says."""
    path = _lock_path(folder)
    if path in _held:
        return None
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return _parse(os.pread(handle, 4096, 0))
    finally:
        os.close(handle)
    return None


def _unusable(what: str) -> StoreUnopenable:
    return StoreUnopenable(
        f"{what}. Nothing was changed. Put that right, or set another `store.path` in ksl.toml."
    )


def _cause(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _lock_path(folder: Path) -> Path:
    return folder.absolute() / "lock"


def _write(handle: int, holder: Holder) -> None:
    text = msgspec.json.encode(holder) + b"\n"
    # Written over and then cut, so that a reader never finds the file empty while it is held.
    os.pwrite(handle, text, 0)
    os.ftruncate(handle, len(text))


def _read(path: Path) -> Holder | None:
    try:
        return _parse(path.read_bytes())
    except OSError:
        return None


def _parse(text: bytes) -> Holder | None:
    try:
        return msgspec.json.decode(text.partition(b"\n")[0], type=Holder)
    except msgspec.MsgspecError:
        return None
