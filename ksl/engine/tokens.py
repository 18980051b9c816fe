"""Hook tokens: derived, not stored.

A token is HMAC-SHA256 of the hook's place under a key that lies beside the database, not in it. The database
holds its hash, so it alone never yields a usable link, while the server can show the link again whenever an
authenticated user asks. Keys are only ever added: a link outlives restarts, upgrades and rotation.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from ksl.errors import StoreUnopenable

# What the body has in the place of a token whose key is gone: a mask, which fits the token that was recorded.
LOST = "[redacted:hook-token]"


class TokenKeys:
    """The keys of a data folder, newest last; new hooks take the newest."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = keys
        self.newest = next(reversed(keys))

    @classmethod
    def open(cls, path: Path) -> TokenKeys:
        """Reads the key file, or makes it (mode 0600)."""
        try:
            if path.exists():
                lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
                keys = {line["id"]: base64.b64decode(line["key"]) for line in lines}
                if keys:
                    return cls(keys)
            fresh = secrets.token_bytes(32)
            name = secrets.token_hex(4)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(json.dumps({"id": name, "key": base64.b64encode(fresh).decode()}) + "\n")
                file.flush()
                os.fsync(file.fileno())
            return cls({name: fresh})
        except (OSError, ValueError, KeyError) as error:
            raise StoreUnopenable(
                f"the key file of hook links, {path}, cannot be used: {error}. Without it the links of waiting "
                "hooks cannot be shown; restore it from a backup, or move it away and let ksl make a new one "
                "(links that are out still work, but are not shown again)."
            ) from error

    @classmethod
    def for_tests(cls) -> TokenKeys:
        return cls({"test": b"\0" * 32})

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def token(self, run_id: str, step: str, *, key_id: str | None = None) -> str:
        """43 characters that carry 256 bits. Errors: KeyError for a key that is not `in` these."""
        key = self._keys[key_id or self.newest]
        digest = hmac.digest(key, f"hook\0{run_id}\0{step}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
