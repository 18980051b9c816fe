"""Who answers a screen: the server named, else the project's running server, else the project's database itself."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from ksl.cli.connect import read_token, server_of
from ksl.cli.invocation import Invocation
from ksl.cli.project import discovered
from ksl.cli.redaction import REDACTOR
from ksl.errors import KslError, SchemaTooNew
from ksl.log.lock import read_holder
from ksl.tui.client import Door, Lost

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ksl.build.config import Settings
    from ksl.engine.tokens import TokenKeys

STORED_URL = "http://127.0.0.1"


class NamedDoor:
    """A server by its address, wherever it is."""

    def __init__(self, invocation: Invocation) -> None:
        found = server_of(invocation)
        assert found is not None, "asked only where an address was given"
        self._door = Door(*found)

    async def find(self) -> Door:
        return self._door


class ProjectDoors:
    """The server of a project while one runs. With `why_none`, which says why there is none, it waits for one and does
    not open the database."""

    def __init__(self, settings: Settings, *, why_none: Callable[[], str] | None = None) -> None:
        self._settings = settings
        self._why_none = why_none
        self._stored: Door | None = None
        self._opened = AsyncExitStack()

    async def find(self) -> Door:
        data = self._settings.data_folder
        holder = read_holder(data)
        if holder is not None and holder.url:
            # The database of a running server is the server's: engine.md has the why.
            await self.aclose()
            return Door(holder.url, read_token(data))
        if self._why_none is not None:
            raise Lost(self._why_none())
        if self._stored is None or self._is_first_run():
            await self.aclose()
            try:
                self._stored = await self._open()
            except KslError as error:
                await self.aclose()
                raise Lost(_sentence(error)) from error
        return self._stored

    async def aclose(self) -> None:
        self._stored = None
        await self._opened.aclose()

    def _is_first_run(self) -> bool:
        """There was no database, and now there is."""
        return not self._had_database and self._settings.store.path.exists()

    _had_database = True

    async def _open(self) -> Door:
        path: Path = self._settings.store.path
        self._had_database = path.exists()
        app, token = await opened_folder(self._settings, self._opened)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return Door(STORED_URL, token, transport)


async def opened_folder(settings: Settings, stack: AsyncExitStack) -> tuple[FastAPI, str]:
    """The HTTP interface over a project's database, opened for reading only, and the token that it wants."""
    import random

    from ksl.api.app import create_app
    from ksl.engine.clock import SystemClock
    from ksl.log.memory import MemoryStore
    from ksl.log.sqlite import SqliteStore
    from ksl.runtime import Runtime
    from ksl.runtime.credentials import make_vault
    from ksl.runtime.run_ids import new_run_id

    project = stack.enter_context(discovered(settings))
    store = (
        await SqliteStore.open_reader(settings.store.path) if settings.store.path.exists() else MemoryStore()
    )
    stack.push_async_callback(store.close)
    clock = SystemClock()
    vault = make_vault(
        settings, project.credentials, store.credentials, redactor=REDACTOR, now_ms=clock.now_ms
    )
    with suppress(KslError):  # without their key there is nothing to mask: what was recorded was masked then
        await vault.learn()
    token = secrets.token_urlsafe()
    runtime = Runtime(
        folder=settings.folder,
        settings=settings,
        project=project,
        store=store,
        lock=None,
        clock=clock,
        rng=random.Random(time.time_ns()),
        new_id=new_run_id,
        tokens=_keys(settings),
        token=token,
        boot=secrets.token_hex(4),
        serve=False,
        vault=vault,
        redactor=REDACTOR,
    )
    await runtime.triggers.standing.load()
    return create_app(runtime, port=80), token


def _sentence(error: KslError) -> str:
    """Why there is nothing to show, and what to call."""
    why = str(error).partition(". ")[0]
    if isinstance(error, SchemaTooNew):
        command = "pip install --upgrade ksl"
    else:
        command = "ksl serve" if "older ksl" in why else "ksl doctor"
    return f"{error.code} {why}. Run: {command}"


def _keys(settings: Settings) -> TokenKeys:
    """Those of the folder; where it has none, no hook has a link yet, and looking makes no file."""
    from ksl.engine.tokens import TokenKeys

    path = settings.data_folder / "hook-keys"
    return TokenKeys.open(path) if path.exists() else TokenKeys({"none": secrets.token_bytes(32)})
