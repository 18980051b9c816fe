"""Proof that a form was sent from the page we served to the same browser, not blindly by another site.

The page sets a cookie with a nonce and its time; its form carries an HMAC over the hook's token and that
cookie. Both must come back. The key is derived from the server's own token, so that a restart between
reading and answering does not spoil a form.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets

COOKIE = "ksl_form"
VALID_S = 1800


class FormProof:
    def __init__(self, server_token: str) -> None:
        self._key = hmac.digest(server_token.encode(), b"ksl hook form", "sha256")

    def new_cookie(self, now_s: float) -> str:
        return f"{int(now_s)}.{secrets.token_urlsafe(16)}"

    def is_fresh(self, cookie: str, now_s: float) -> bool:
        """Whether it leaves at least half of the time for a form to be filled in."""
        return 0 <= now_s - _issued_s(cookie) <= VALID_S / 2

    def of(self, token: str, cookie: str) -> str:
        return hmac.new(self._key, f"{token}\n{cookie}".encode(), hashlib.sha256).hexdigest()

    def holds(self, token: str, *, cookie: str, proof: str, now_s: float) -> bool:
        right = hmac.compare_digest(self.of(token, cookie).encode(), proof.encode())
        return right and 0 <= now_s - _issued_s(cookie) <= VALID_S


def _issued_s(cookie: str) -> float:
    """Long ago for what is no cookie of ours."""
    issued, _, nonce = cookie.partition(".")
    whole = issued.isascii() and issued.isdigit() and len(issued) < 13 and bool(nonce)
    return int(issued) if whole else -math.inf
