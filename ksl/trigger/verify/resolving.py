"""The secrets of a scheme, looked up where credentials are kept."""

from __future__ import annotations

from typing import Any, cast

from ksl.define.credential import Credential, CredentialSource
from ksl.errors import MissingCredential
from ksl.trigger.verify.scheme import Scheme
from ksl.trigger.verify.secret_fields import secrets_in


async def secrets_of(scheme: Scheme, source: CredentialSource) -> list[str]:
    """In the order of the scheme's credentials. While a secret is changed one of them may not be set any more.

    Errors: MissingCredential when none is set; whatever else the source raises.
    """
    found: list[str] = []
    missing: MissingCredential | None = None
    for each in scheme.credentials:
        credential = cast("Credential[Any]", each)
        try:
            resolved = await source.resolve([credential])
        except MissingCredential as error:
            missing = missing or error
        else:
            found += secrets_in(resolved.credentials[credential])
    if missing is not None and not found:
        raise missing
    return found
