"""Who keeps credentials for a command: the running server, else this process, which holds the folder meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import quote

import click

from ksl.cli.connect import FOLDER_WAIT_S, LOOK_AGAIN_S, remote, server_of
from ksl.cli.invocation import Invocation
from ksl.cli.output import Json
from ksl.cli.project import discovered, settings_of, tell_of_the_rest
from ksl.cli.redaction import REDACTOR
from ksl.cli.remote import RemoteClient
from ksl.errors import FolderHeld
from ksl.records import Scope
from ksl.runtime.credentials import check_keys, make_vault
from ksl.vault.vault import Vault
from ksl.views.credentials import credentials_json

SCOPE = click.option(
    "--scope",
    type=click.Choice(["project", "organization", "user"]),
    default="project",
    show_default=True,
    help="Where it is looked up: in this project, in all projects of this user, for one subscriber.",
)
USER = click.option("--user", metavar="U", help="Whose, with --scope user: the subscriber's id.")


class Keeper(Protocol):
    async def all(self) -> Json: ...

    async def set(self, name: str, fields: Mapping[str, Any], scope: Scope, user: str | None) -> Json: ...

    async def remove(self, name: str, scope: Scope, user: str | None) -> Json: ...

    async def rotate(self, scope: Scope) -> Json: ...


@asynccontextmanager
async def keeper(invocation: Invocation, *, opens: bool = True) -> AsyncGenerator[Keeper]:
    """`opens` False: for what needs no key. Errors: FolderHeld when another command keeps the folder; WrongKey."""
    from ksl.log.lock import FolderLock

    until = time.monotonic() + FOLDER_WAIT_S
    while True:
        if (server := server_of(invocation)) is not None:
            async with remote(*server) as client:
                yield _Remote(client)
            return
        settings = settings_of(invocation)
        lock = FolderLock(settings.data_folder)
        try:
            await lock.acquire()
        except FolderHeld:
            if time.monotonic() >= until:
                raise
            await asyncio.sleep(LOOK_AGAIN_S)
            continue
        try:
            if opens:
                check_keys(settings)
            from ksl.log.sqlite import SqliteStore

            with discovered(settings) as project:
                store = await SqliteStore.open(settings.store.path, durability=settings.store.durability)
                try:
                    vault = make_vault(settings, project.credentials, store.credentials, redactor=REDACTOR)
                    yield _Local(vault)
                finally:
                    await store.close()
        finally:
            lock.release()
        return


@asynccontextmanager
async def reading_vault(invocation: Invocation) -> AsyncGenerator[Vault]:
    """The project's own, beside whoever holds the folder. Nothing is written."""
    from ksl.log.credentials import MemoryCredentials
    from ksl.log.sqlite import SqliteStore

    settings = settings_of(invocation)
    with discovered(settings) as project:
        tell_of_the_rest(project)
        if not settings.store.path.exists():
            yield make_vault(settings, project.credentials, MemoryCredentials(), redactor=REDACTOR)
            return
        store = await SqliteStore.open_reader(settings.store.path)
        try:
            yield make_vault(settings, project.credentials, store.credentials, redactor=REDACTOR)
        finally:
            await store.close()


async def list_all(invocation: Invocation) -> Json:
    if (server := server_of(invocation)) is not None:
        async with remote(*server) as client:
            return await _Remote(client).all()
    async with reading_vault(invocation) as vault:
        return await _Local(vault).all()


class _Remote:
    def __init__(self, client: RemoteClient) -> None:
        self._client = client

    async def all(self) -> Json:
        return await self._client.ask("GET", "/credentials")

    async def set(self, name: str, fields: Mapping[str, Any], scope: Scope, user: str | None) -> Json:
        body = {"name": name, "fields": dict(fields), "scope": scope, "user": user}
        return await self._client.ask("POST", "/credentials", json=body)

    async def remove(self, name: str, scope: Scope, user: str | None) -> Json:
        params = {"scope": scope} | ({"user": user} if user else {})
        return await self._client.ask("DELETE", f"/credentials/{quote(name, safe='')}", params=params)

    async def rotate(self, scope: Scope) -> Json:
        return await self._client.ask("POST", "/credentials/rotate", json={"scope": scope})


class _Local:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def all(self) -> Json:
        vault = self._vault
        return credentials_json(await vault.sealed(), vault.definitions, built_in=vault.built_in)

    async def set(self, name: str, fields: Mapping[str, Any], scope: Scope, user: str | None) -> Json:
        return await self._vault.set(name, fields, scope=scope, user=user)

    async def remove(self, name: str, scope: Scope, user: str | None) -> Json:
        await self._vault.remove(name, scope=scope, user=user)
        return {"name": name, "scope": scope, "user": user, "removed": True}

    async def rotate(self, scope: Scope) -> Json:
        return await self._vault.rotate(scope)
