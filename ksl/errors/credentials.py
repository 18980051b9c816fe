"""KSL7xx: credentials, and the extras that they and others need."""

from __future__ import annotations

from typing import Any

from ksl.errors.tree import AskPerson, FixCode, FixRequest

__all__ = [
    "AuthorizationFailed",
    "CredentialDamaged",
    "CredentialNotNamed",
    "ExtraMissing",
    "InvalidCredential",
    "KeyUnusable",
    "MissingCredential",
    "UnknownCredential",
    "WrongKey",
]


class MissingCredential(AskPerson):
    """A step needs a credential that nobody has set where it is looked up."""

    code = "KSL700"


class WrongKey(AskPerson):
    """The key at hand is not the one that the stored credentials are sealed with."""

    code = "KSL701"


class KeyUnusable(AskPerson):
    """The key of credentials cannot be read, or is none."""

    code = "KSL702"


class UnknownCredential(FixRequest):
    """The project defines no credential of this name, or none is set in this place."""

    code = "KSL703"


class InvalidCredential(FixRequest):
    """The fields of a credential do not fit its model. `errors` lists `{"loc": [...], "msg": "..."}`."""

    code = "KSL704"

    def __init__(self, message: str, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []


class CredentialDamaged(AskPerson):
    """A stored credential is not what was stored there."""

    code = "KSL705"


class AuthorizationFailed(AskPerson):
    """The service refused to authorize or to refresh an OAuth credential."""

    code = "KSL706"


class CredentialNotNamed(FixCode):
    """An action asked for a credential that its decorator does not name."""

    code = "KSL707"


class ExtraMissing(FixRequest):
    """This needs a package that is installed with one of ksl's extras."""

    code = "KSL708"
