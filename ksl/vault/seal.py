"""Sealing: AES-256-GCM, bound to its place, so that a row that is copied to another place does not open there.

A sealed value is a nonce of 12 random bytes, then ciphertext and tag. The `cryptography` package is imported with the
first value, since most projects have none.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from ksl.records import CredentialPlace
from ksl.vault.keys import key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_CHECK = b"ksl credential check"


class Unopened(Exception):
    """Another key, another place, or changed bytes: which of them cannot be told."""


def seal(key: bytes, value: bytes, *, place: CredentialPlace, field: str) -> bytes:
    return _seal(key, value, _bound_to(place, field))


def unseal(key: bytes, sealed: bytes, *, place: CredentialPlace, field: str) -> bytes:
    """Errors: Unopened."""
    return _open(key, sealed, _bound_to(place, field))


def proof(key: bytes) -> bytes:
    """Something that only this key opens."""
    return _seal(key, _CHECK, b"check\0" + key_id(key).encode())


def proves(key: bytes, sealed: bytes) -> bool:
    try:
        return _open(key, sealed, b"check\0" + key_id(key).encode()) == _CHECK
    except Unopened:
        return False


def _bound_to(place: CredentialPlace, field: str) -> bytes:
    # Lengths first: no two places may come to the same bytes, whatever a user is called.
    parts = [part.encode() for part in ("field", place.name, place.scope, place.user, field)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _seal(key: bytes, value: bytes, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, value, bound_to)


def _open(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    if len(sealed) < _NONCE_BYTES + 16:
        raise Unopened
    try:
        return _cipher(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
    except InvalidTag:
        raise Unopened from None


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
