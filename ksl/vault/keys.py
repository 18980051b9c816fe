"""The keys that credentials are sealed with. They lie beside the database, or come from `KSL_KEY`, never in it.

The first key of a ring seals, every key opens. Rotation relies on that: old and new key lie in the file together until
nothing is sealed with the old one.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from ksl.errors import KeyUnusable

KEY_BYTES = 32
VARIABLE = "KSL_KEY"
_FORM = (
    "a key is 32 random bytes, written in base64 or as 64 hexadecimal digits; `openssl rand -base64 32` makes one. "
    "Of several, with commas or blanks between them, the first seals and all of them open"
)


class Keyring:
    """Never empty. `source` says where the keys came from, for messages."""

    def __init__(self, keys: Sequence[bytes], *, source: str) -> None:
        self._keys = {key_id(key): key for key in keys}
        self.newest = next(iter(self._keys))
        self.source = source

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    def __getitem__(self, name: str) -> bytes:
        return self._keys[name]


def key_id(key: bytes) -> str:
    """Names a key and tells nothing of it."""
    return hashlib.sha256(b"ksl credential key\0" + key).hexdigest()[:12]


class KeyPlace:
    """Where the keys of one store of credentials are."""

    def __init__(self, path: Path, variable: str | None) -> None:
        """`variable`: the text of `KSL_KEY`, which then takes the place of the file."""
        self.path = path
        self._variable = variable

    @property
    def is_file(self) -> bool:
        return not self._variable

    @property
    def source(self) -> str:
        return str(self.path) if self.is_file else VARIABLE

    def read(self) -> Keyring | None:
        """None where there is no file yet. Errors: KeyUnusable."""
        if self._variable:
            return self._ring(self._variable)
        try:
            return self._ring(self.path.read_text("ascii"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(str(error)) from None

    def make(self) -> Keyring:
        """Writes a new key, where there is no file yet."""
        fresh = [secrets.token_bytes(KEY_BYTES)]
        self.write(fresh)
        return Keyring(fresh, source=self.source)

    def write(self, keys: Sequence[bytes]) -> None:
        """Puts them into the file, whole or not at all, on the disk when this returns. Errors: KeyUnusable."""
        text = "".join(base64.b64encode(key).decode() + "\n" for key in keys)
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
            _sync(self.path.parent)
        except OSError as error:
            raise self._unusable(f"it cannot be written: {error.strerror}") from error

    def _ring(self, text: str) -> Keyring:
        words = re.split(r"[\s,]+", text.strip())
        keys = [_key(word) for word in words if word]
        if not keys or None in keys:
            raise self._unusable("it does not hold a key")
        return Keyring([key for key in keys if key is not None], source=self.source)

    def _unusable(self, why: str) -> KeyUnusable:
        return KeyUnusable(
            f"{self.source}, the key of credentials, cannot be used: {why} ({_FORM}). Nothing was changed. Put the "
            "right key back; without it what is stored cannot be read, and has to be removed and set anew."
        )


def _key(word: str) -> bytes | None:
    if re.fullmatch(r"[0-9A-Fa-f]{64}", word):
        return bytes.fromhex(word)
    if re.fullmatch(r"[A-Za-z0-9+/_-]{43}=?", word):
        return base64.urlsafe_b64decode(word.replace("+", "-").replace("/", "_").rstrip("=") + "=")
    return None


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
