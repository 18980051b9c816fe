"""What is stored and told of credentials. No record here holds a value that anybody could use."""

from __future__ import annotations

from typing import Literal

import msgspec

Scope = Literal["organization", "project", "user"]


class CredentialRow(msgspec.Struct, frozen=True):
    """One field of one credential, sealed."""

    name: str
    scope: Scope
    user: str  # whose it is in the scope "user", else ""
    field: str
    key_id: str  # of the key that it is sealed with
    sealed: bytes  # nonce, ciphertext and tag of the value's JSON
    secret: bool  # False: a field that its model does not keep secret, such as an address
    set_at_ms: int


class CredentialPlace(msgspec.Struct, frozen=True):
    """Where the fields of one credential lie together."""

    name: str
    scope: Scope
    user: str = ""


class CredentialChange(msgspec.Struct, frozen=True):
    """Stored whole or not at all, in this order: `gone` is deleted, `put` replaces field by field, `checks` are added.

    Checks of keys that no row is sealed with are deleted with it.
    """

    gone: tuple[CredentialPlace, ...] = ()
    put: tuple[CredentialRow, ...] = ()
    checks: tuple[tuple[str, bytes], ...] = ()  # (key id, a value that only this key opens)


class CredentialUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """That an attempt was given a credential; part of the record of its outcome."""

    name: str
    scope: Scope
    key_id: str = ""  # empty where it came from a test
