"""`ksl serve` started from the screens: a process of its own, which goes on when they end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ksl.cli.redaction import REDACTOR
from ksl.log.lock import read_holder
from ksl.tui.starting import NotStarted, Stopped

if TYPE_CHECKING:
    from ksl.build.config import Settings

LOG_NAME = "serve.log"
LOG_BYTES_MAX = 10 << 20  # then the file begins anew, and the one before is kept beside it
PATIENCE_S = 60.0  # a large history takes its time to be recovered
LOOK_S = 0.1
LAST_LINES = 8


class Background:
    """`tui.starting.Starter` for a project on this machine."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.folder
        self._data = settings.data_folder
        self._database = settings.store.path

    def stopped(self) -> Stopped | None:
        """The lock is emptied by a process that ends in order. One that was killed leaves its name in it, and what was
        written last tells how long it lived at least. None where no server was ever here."""
        lock = self._data / "lock"
        try:
            found = lock.stat()
        except OSError:
            return None
        if found.st_size == 0:
            return Stopped(int(found.st_mtime * 1000), in_order=True)
        written = [found.st_mtime, *(_modified(Path(f"{self._database}{end}")) for end in ("", "-wal"))]
        return Stopped(int(max(written) * 1000), in_order=False)

    async def start(self) -> str:
        """Returns when it answers, with what to know about it. Errors: NotStarted."""
        log = self._data / LOG_NAME
        shown = _shown(log, self._folder)
        try:
            begin = _room_for(log)
            pid = _spawn(self._folder, log)
        except OSError as error:
            raise NotStarted(f"ksl serve could not be started: {error}.", []) from error
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            holder = read_holder(self._data)
            if holder is not None and holder.url:
                whose = "" if holder.pid == pid else ", which somebody else started"
                return (
                    f"ksl serve runs at {holder.url} (process {holder.pid}{whose}) and goes on when these screens end. "
                    f"Its log: {shown}. It is stopped by: kill {holder.pid}"
                )
            if (code := _exit_code(pid)) is not None:
                said = f"ksl serve ended with exit code {code} before it answered. Its log: {shown}"
                raise NotStarted(said, _last_lines(log, begin))
            await asyncio.sleep(LOOK_S)
        raise NotStarted(
            f"ksl serve (process {pid}) has not answered for {PATIENCE_S:.0f} s; it may still come. Its log: {shown}",
            _last_lines(log, begin),
        )


def _spawn(folder: Path, log: Path) -> int:
    """In a session of its own: closing the terminal is no concern of it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "ksl", "-C", os.fspath(folder), "serve"],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=(signal.SIGPIPE, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),  # the screens ignore some
    )


def _exit_code(pid: int) -> int | None:
    """Of a child; None while it lives."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _room_for(log: Path) -> int:
    """Where what the new server says will begin, in bytes."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return 0
    if size <= LOG_BYTES_MAX:
        return size
    log.replace(log.with_name(f"{LOG_NAME}.1"))
    return 0


def _last_lines(log: Path, begin: int) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(begin)
            said = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return REDACTOR.text(said).splitlines()[-LAST_LINES:]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _shown(path: Path, folder: Path) -> str:
    return os.fspath(path.relative_to(folder) if path.is_relative_to(folder) else path)
