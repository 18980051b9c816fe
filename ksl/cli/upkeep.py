"""Who looks after the store for a command: the running server, else this process, which holds the folder meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ksl.cli.connect import FOLDER_WAIT_S, LOOK_AGAIN_S, remote, server_of
from ksl.cli.invocation import Invocation
from ksl.cli.output import Json
from ksl.cli.project import settings_of
from ksl.errors import FolderHeld, StoreUnopenable

if TYPE_CHECKING:
    from ksl.build.config import Settings


class Upkeep(Protocol):
    async def prune(self, older_than_s: float | None, *, dry_run: bool) -> Json: ...

    async def size(self) -> Json: ...

    async def backup(self, target: Path) -> None:
        """Makes the new file, for its owner alone."""
        ...


@asynccontextmanager
async def upkeep(invocation: Invocation) -> AsyncGenerator[Upkeep]:
    """Errors: FolderHeld when another command keeps the folder; StoreUnopenable where there is no database."""
    from ksl.log.lock import FolderLock

    until = time.monotonic() + FOLDER_WAIT_S
    while True:
        if (server := server_of(invocation)) is not None:
            async with remote(*server) as client:
                yield client
            return
        settings = settings_of(invocation)
        if not settings.store.path.exists():
            raise StoreUnopenable(
                f"{settings.store.path} is not there: nothing has been run in this project yet. Nothing was done."
            )
        lock = FolderLock(settings.data_folder)
        try:
            await lock.acquire()
        except FolderHeld:
            if time.monotonic() >= until:
                raise
            await asyncio.sleep(LOOK_AGAIN_S)
            continue
        try:
            yield StoredUpkeep(settings)
        finally:
            lock.release()
        return


class StoredUpkeep:
    """The caller holds the folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def prune(self, older_than_s: float | None, *, dry_run: bool) -> Json:
        from ksl.log.retention import prune
        from ksl.log.sqlite import SqliteStore
        from ksl.views.upkeep import deleted_json

        keep_s = self.settings.retention.finished_runs
        store = await SqliteStore.open(self.settings.store.path, durability=self.settings.store.durability)
        try:
            now_ms = time.time_ns() // 1_000_000
            deleted = await prune(store, older_than_s, keep_s=keep_s, now_ms=now_ms, dry_run=dry_run)
            return deleted_json(deleted, dry_run=dry_run)
        finally:
            await store.close()

    async def size(self) -> Json:
        from ksl.log.sqlite import SqliteStore
        from ksl.views.upkeep import size_json

        store = await SqliteStore.open_reader(self.settings.store.path)
        try:
            return size_json(await store.size())
        finally:
            await store.close()

    async def backup(self, target: Path) -> None:
        from ksl import __version__
        from ksl.log.backup import write_backup
        from ksl.views.times import rfc3339

        keys = self.settings.data_folder / "hook-keys"
        write_backup(
            self.settings.store.path,
            target,
            hook_keys=keys.read_bytes() if keys.exists() else b"",
            made_at=rfc3339(time.time_ns() // 1_000_000),
            version=__version__,
        )
