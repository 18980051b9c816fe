"""The bearer token of a data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ksl.errors import StoreUnopenable


def read_token(path: Path) -> str:
    """The bearer token of this data folder, made at first start."""
    try:
        if path.exists():
            token = path.read_text(encoding="ascii").strip()
            if token:
                return token
        token = secrets.token_urlsafe(32)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
        return token
    except (OSError, UnicodeDecodeError) as error:
        raise StoreUnopenable(f"the token file {path} cannot be used: {error}.") from error
