"""The one gate in front of every route: Host, Origin, token, size of the body, in this order.

It is plain ASGI and wraps the router, so a route that does not exist yet is guarded already. What needs no
token is a list of exact addresses; everything else is refused by default, whatever it is called. A workflow
with the slug `healthz` lives at `/workflows/healthz` and opens nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ksl.api.addresses import Addresses
from ksl.api.body import Refusal, capped
from ksl.api.problems import problem
from ksl.api.ui.logins import Logins
from ksl.errors import BadRequest, HostRefused, KslError, OriginRefused, Unauthorised

HEAD_MAX = 16 << 10  # bytes of address and headers together
_LONG_HEAD = f"The address and the headers are longer than {HEAD_MAX >> 10} KiB together. Nothing was done."

_WHERE = "The token is in the file `token` of the server's data folder (.ksl/token)."
_NO_TOKEN = f"This address needs the header `Authorization: Bearer TOKEN`, and it was not sent. {_WHERE}"
_WRONG_TOKEN = (
    "The header `Authorization` was sent, but not as `Bearer TOKEN` with the token of this server. "
    f"{_WHERE} Where KSL_TOKEN is set, commands send that."
)

_OUR_MISTAKE = "The server made a mistake while answering. Its log says more; nothing else is known here."

_log = logging.getLogger("ksl.api")

_READS = frozenset({"GET", "HEAD", "OPTIONS"})

_HOOK = re.compile(r"/hooks/[^/]+(?:/reject)?")

# (methods, address). The whole path must match, after decoding, as it does in the router.
_PUBLIC: tuple[tuple[frozenset[str], re.Pattern[str]], ...] = (
    (frozenset({"GET", "HEAD"}), re.compile(r"/healthz|/readyz")),
    (frozenset({"GET", "HEAD", "OPTIONS", "POST"}), _HOOK),
    # Deliveries: what proves the sender is for each source to say. Everything else below needs the token.
    (frozenset({"POST"}), re.compile(r"/triggers/[^/]+")),
    # The console's door: logging in, with what the page needs to look like one.
    (frozenset({"GET", "POST"}), re.compile(r"/ui/login")),
    (frozenset({"GET"}), re.compile(r"/ui|/ui/login/[^/]+|/ui/assets/[^/]+")),
)

# Where the cookie of a session stands in for the token. Nowhere else: no other address expects a browser.
_CONSOLE = "/ui/"

# On every response. A page that needs more than CSP's nothing says so itself.
_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-robots-tag", b"noindex, nofollow"),
)


class Gate:
    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        addresses: Addresses,
        body_max: int,
        port: int,
        logins: Logins,
        login_page: Callable[[Scope], Response | None],
        error_page: Callable[[Scope, KslError, int], Awaitable[Response | None]],
    ) -> None:
        """`port` is used only where a connection does not say which one it came in by. `login_page` is what a
        browser is shown in place of a console page that it may not see, `error_page` what it is told of an error
        there; None for what is no browser."""
        self._app = app
        # Digests have equal lengths, so the comparison takes the same time for every wrong token.
        self._token = _digest(token.encode())
        self._addresses = addresses
        self._body_max = body_max
        self._port = port
        self._logins = logins
        self._login_page = login_page
        self._error_page = error_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # Nothing here speaks web sockets, and one that nobody guards must not appear by accident.
            await send({"type": "websocket.close", "code": 1008})
            return
        guarded = _Guarded(send)
        if _head_size(scope) > HEAD_MAX:
            # uvicorn's own limit holds only for heads that arrive in pieces
            error = BadRequest(_LONG_HEAD)
            # A page is for who asked for this server: under another name it is another site's.
            is_ours = not isinstance(self._refusal(scope), HostRefused | OriginRefused)
            page = await self._error_page(scope, error, 431) if is_ours else None
            await (page or problem(error, status=431))(scope, receive, guarded)
            return
        if refused := self._refusal(scope):
            page = self._login_page(scope) if isinstance(refused, Unauthorised) else None
            await (page or problem(refused))(scope, receive, guarded)
            return
        body = await capped(scope, receive, body_max=self._body_max)
        match body:
            case None:
                return  # the client went away in mid-body
            case Refusal(error=error, status=status):
                # What is left of the body is not read, so the connection cannot be used again.
                answer = await self._error_page(scope, error, status) or problem(error, status=status)
                answer.headers["Connection"] = "close"
                await answer(scope, receive, guarded)
            case _:
                await self._answer(scope, body, guarded)

    async def _answer(self, scope: Scope, receive: Receive, guarded: _Guarded) -> None:
        try:
            await self._app(scope, receive, guarded)
        except Exception:
            # A mistake of ours. Whoever asked learns that much and no more; the log has the traceback.
            _log.exception("answering %s %s failed", scope["method"], shown(scope["path"]))
            if guarded.started:
                raise  # half an answer is out, and only closing the connection says that it is half
            await problem(KslError(_OUR_MISTAKE), status=500)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> KslError | None:
        method: str = scope["method"]
        path: str = scope["path"]
        server = scope.get("server")
        port: int = server[1] if server and server[1] else self._port
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or not self._addresses.answers_for(hosts[0], port):
            return HostRefused(
                "This server does not answer for the name in the Host header. Use localhost with its port, "
                "or set server.public_url in ksl.toml to the address that others use."
            )
        if method not in _READS and not self._is_own_page(scope, path, port):
            return OriginRefused(
                "A web page of another site asked for a change, which only pages of this server may do. "
                "Nothing was done."
            )
        if not (_is_public(method, path) or self._has_token(scope) or self._has_session(scope, path)):
            return Unauthorised(_WRONG_TOKEN if _values(scope, b"authorization") else _NO_TOKEN)
        return None

    def _is_own_page(self, scope: Scope, path: str, port: int) -> bool:
        origins = _values(scope, b"origin")
        if not origins:
            return True  # not a browser
        if len(origins) != 1:
            return False
        if origins[0] == "null" and _HOOK.fullmatch(path):
            # The hook's page has `Referrer-Policy: no-referrer`, which makes browsers send its form with the
            # origin "null". Another site's form looks the same, but lacks the token and the page's cookie.
            return _values(scope, b"sec-fetch-site") in ([], ["same-origin"])
        return self._addresses.trusts(origins[0], port)

    def _has_token(self, scope: Scope) -> bool:
        given = _values(scope, b"authorization")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        # compared even when the scheme is wrong, so that every refusal takes the same way
        right = hmac.compare_digest(_digest(token.strip().encode("latin-1")), self._token)
        return right and scheme.lower() == "bearer"

    def _has_session(self, scope: Scope, path: str) -> bool:
        if not path.startswith(_CONSOLE):
            return False
        cookie = self._logins.cookie_in("; ".join(_values(scope, b"cookie")))
        return bool(cookie) and self._logins.holds(cookie, time.time())


def _head_size(scope: Scope) -> int:
    address = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
    return address + sum(len(name) + len(value) for name, value in scope["headers"])


def shown(path: str) -> str:
    """A path fit for logs: the token of a hook is a credential, so a short hash stands for it."""
    if path.startswith("/ui/login/"):
        return "/ui/login/#"
    if _HOOK.fullmatch(path) is None:
        return path
    _, _, token, *rest = path.split("/")
    return "/".join(["/hooks", f"#{hashlib.sha256(token.encode()).hexdigest()[:8]}", *rest])


def _is_public(method: str, path: str) -> bool:
    return any(method in methods and address.fullmatch(path) for methods, address in _PUBLIC)


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


class _Guarded:
    """A `send` that adds the headers of every response."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers: list[tuple[bytes, bytes]] = list(message.get("headers", []))
            present = {key.lower() for key, _ in headers}
            missing = [header for header in _HEADERS if header[0] not in present]
            message = {**message, "headers": [*headers, *missing]}
        await self._send(message)
