"""Who is logged in to the console: links that open it once, and the cookies that they are exchanged for.

Links live in memory alone. A cookie is signed with a key derived from the server's token, so it outlives a
restart, as `ksl dev` makes one at every change of the code; another token ends all sessions at once. The
cookie's name has a part that differs from server to server, since browsers do not tell ports apart.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict

LINK_S = 300
SESSION_S = 7 * 86_400
_LINKS_MAX = 100  # that wait to be opened
_ENDED_MAX = 10_000  # sessions that were logged out of, remembered until they would have ended by themselves


class Logins:
    def __init__(self, server_token: str) -> None:
        self._token = hashlib.sha256(server_token.encode()).digest()
        self._key = hmac.digest(server_token.encode(), b"ksl console session", "sha256")
        self._links: OrderedDict[bytes, float] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self.cookie_name = f"ksl_console_{self._mac('name')[:8]}"

    def new_link(self, now_s: float) -> str:
        """The code of a link that logs in whoever opens it first, within `LINK_S`."""
        code = secrets.token_urlsafe(32)
        self._links[_digest(code)] = now_s + LINK_S
        while len(self._links) > _LINKS_MAX:
            self._links.popitem(last=False)
        return code

    def use_link(self, code: str, now_s: float) -> bool:
        return self._links.pop(_digest(code), 0.0) >= now_s

    def is_token(self, text: str) -> bool:
        return hmac.compare_digest(_digest(text), self._token)

    def new_cookie(self, now_s: float) -> str:
        session = f"{int(now_s)}.{secrets.token_urlsafe(24)}"
        return f"{session}.{self._mac('session', session)}"

    def holds(self, cookie: str, now_s: float) -> bool:
        session, _, mac = cookie.rpartition(".")
        right = hmac.compare_digest(self._mac("session", session).encode(), mac.encode())
        return (
            right and session not in self._ended and 0 <= now_s - int(session.partition(".")[0]) <= SESSION_S
        )

    def end(self, cookie: str) -> None:
        self._ended[cookie.rpartition(".")[0]] = None
        while len(self._ended) > _ENDED_MAX:
            self._ended.popitem(last=False)

    def form_proof(self, cookie: str) -> str:
        """What a form of this session carries, so that no other site can have one sent."""
        return self._mac("form", cookie)

    def is_own_form(self, cookie: str, proof: str) -> bool:
        return bool(cookie) and hmac.compare_digest(self.form_proof(cookie).encode(), proof.encode())

    def cookie_in(self, header: str) -> str:
        """Ours, of a Cookie header; "" when it is not there. Others' cookies may be written any way they like."""
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.cookie_name:
                return value
        return ""

    def _mac(self, *parts: str) -> str:
        return hmac.new(self._key, "\n".join(parts).encode(), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
