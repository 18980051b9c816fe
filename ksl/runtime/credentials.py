"""Where the credentials of a project and of an organization lie, and the vault over both."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksl.agent.keys import key_credential, key_names
from ksl.agent.models import providers_of
from ksl.define.credential import Credential
from ksl.errors import KslError
from ksl.log.credentials import CredentialTables, Sealed, stored_in
from ksl.log.organization import OrganizationFile
from ksl.records import CredentialChange
from ksl.vault.keys import KeyPlace
from ksl.vault.redactor import Redactor
from ksl.vault.shelf import Shelf, checked
from ksl.vault.vault import Vault

if TYPE_CHECKING:
    from ksl.build.config import Settings

_HOLD_WAIT_S = 10.0


def project_keys(settings: Settings) -> KeyPlace:
    return KeyPlace(settings.data_folder / "key", os.environ.get("KSL_KEY"))


def organization_folder() -> Path:
    """`KSL_HOME`, else `ksl` in the user's data folder."""
    if home := os.environ.get("KSL_HOME"):
        return Path(home).expanduser().absolute()
    if data := os.environ.get("XDG_DATA_HOME"):
        return Path(data) / "ksl"
    try:
        return Path.home() / ".local" / "share" / "ksl"
    except RuntimeError:
        return Path("/nonexistent/ksl")  # a user without a home; setting a credential there says what to do


def check_keys(settings: Settings) -> None:
    """Before anything is opened for writing. Errors: WrongKey, KeyUnusable; nothing was changed."""
    sealed = stored_in(settings.store.path)
    if sealed.rows:
        checked(sealed, project_keys(settings))
    organization = OrganizationFile(organization_folder() / "credentials.db").read()
    if organization.rows:
        checked(organization, KeyPlace(organization_folder() / "key", None))


def make_vault(
    settings: Settings | None,
    definitions: Mapping[str, Credential[Any]],
    tables: CredentialTables | None,
    *,
    redactor: Redactor,
    now_ms: Callable[[], int] | None = None,
    hold: Callable[[], AbstractAsyncContextManager[None]] | None = None,
) -> Vault:
    """`tables`: of the project's store; None where there is none. `hold`: what a refresh of its tokens needs first."""
    folder = organization_folder()
    return Vault(
        definitions,
        project=None
        if settings is None or tables is None
        else Shelf(
            tables, project_keys(settings), what=f"project {settings.project.name}", shared=False, hold=hold
        ),
        organization=Shelf(
            OrganizationFile(folder / "credentials.db"),
            KeyPlace(folder / "key", None),
            what="the organization",
            shared=True,
        ),
        redactor=redactor,
        now_ms=now_ms or _now_ms,
        built_in={name: key_credential(name) for name in _key_names(settings)},
    )


def set_credentials(settings: Settings) -> set[str]:
    """Names of those that are set anywhere. Needs no key and no server; a store that cannot be read has none."""
    try:
        organization = OrganizationFile(organization_folder() / "credentials.db").read()
    except KslError:
        organization = Sealed()
    return {row.name for sealed in (stored_in(settings.store.path), organization) for row in sealed.rows}


@asynccontextmanager
async def script_credentials() -> AsyncGenerator[Vault]:
    """For an action that a script runs: those of the project around the current folder, and the organization's.

    Nothing but an OAuth token's refresh is written, and that to the project only where no server holds its folder.
    """
    from ksl.build.config import find_project, load_settings
    from ksl.errors import NotAProject

    try:
        settings = load_settings(find_project(Path.cwd()), os.environ)
    except NotAProject:
        settings = None
    async with credentials_of(settings) as vault:
        yield vault


@asynccontextmanager
async def credentials_of(settings: Settings | None) -> AsyncGenerator[Vault]:
    """As `script_credentials`, of a project at hand."""
    from ksl.log.sqlite import SqliteStore

    if settings is None or not settings.store.path.exists():
        yield make_vault(settings, {}, None, redactor=Redactor())
        return
    store = await SqliteStore.open_reader(settings.store.path)
    tables = _WithoutServer(settings, store.credentials)
    try:
        yield make_vault(settings, {}, tables, redactor=Redactor(), hold=tables.hold)
    finally:
        await store.close()


def _key_names(settings: Settings | None) -> list[str]:
    return key_names({} if settings is None else providers_of(settings.models.providers))


class _WithoutServer:
    """`CredentialTables` of a project that is not served here. It has the folder while it refreshes a token."""

    def __init__(self, settings: Settings, tables: CredentialTables) -> None:
        self._settings = settings
        self._tables = tables

    async def credentials(self) -> Sealed:
        return await self._tables.credentials()

    async def change_credentials(self, change: CredentialChange) -> None:
        from ksl.log.sqlite import SqliteStore

        store = await SqliteStore.open(self._settings.store.path, durability=self._settings.store.durability)
        try:
            await store.credentials.change_credentials(change)
        finally:
            await store.close()

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[None]:
        """Errors: FolderHeld, before the service is asked: what it answered could not be stored."""
        from ksl.log.lock import FolderLock

        lock = FolderLock(self._settings.data_folder)
        await lock.acquire(wait_s=_HOLD_WAIT_S)
        try:
            yield
        finally:
            lock.release()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
