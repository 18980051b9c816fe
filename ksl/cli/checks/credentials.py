"""Whether what is set can be opened, and who else might."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ksl.build.config import Settings
from ksl.cli.checks import Finding
from ksl.cli.checks.folder import modes
from ksl.cli.project import count
from ksl.errors import KslError
from ksl.log.credentials import Sealed, places, stored_in
from ksl.log.organization import OrganizationFile
from ksl.runtime.credentials import organization_folder, project_keys
from ksl.vault.keys import KeyPlace
from ksl.vault.shelf import checked


def credential_findings(settings: Settings) -> Iterator[Finding]:
    yield from _opens("the project", stored_in(settings.store.path), project_keys(settings))
    folder: Path = organization_folder()
    if folder.is_dir():
        yield from modes(folder)
        try:
            sealed = OrganizationFile(folder / "credentials.db").read()
        except KslError as error:
            yield Finding("credentials", "fail", f"{folder} cannot be read", str(error))
            return
        yield from _opens("the organization", sealed, KeyPlace(folder / "key", None))


def _opens(whose: str, sealed: Sealed, keys: KeyPlace) -> Iterator[Finding]:
    if not sealed.rows:
        return
    found = f"{count(len(dict(places(sealed))), 'credential')} of {whose}"
    try:
        checked(sealed, keys)
    except KslError as error:
        yield Finding("credentials", "fail", f"{found} cannot be opened", str(error))
        return
    yield Finding("credentials", "ok", f"{found}, opened by {keys.source}")
