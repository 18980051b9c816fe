"""OAuth 2: how a token is obtained (authorization code with PKCE) and kept fresh.

The protocol is Authlib's (extra `ksl[oauth]`), imported when it is needed. Here is what it leaves to its user: one
refresh at a time, the new refresh token stored before anybody uses the new access token, and what to tell a person.
"""

from __future__ import annotations

import asyncio
import secrets
import warnings
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ksl.build.config import is_loopback
from ksl.define.credential import Credential
from ksl.errors import AuthorizationFailed, ExtraMissing, InvalidCredential
from ksl.records import CredentialPlace
from ksl.vault import values

if TYPE_CHECKING:
    from ksl.vault.shelf import Opened, Shelf

EARLY_S = 60.0  # a token that runs out sooner is refreshed first: the request it is for takes time, too
TIMEOUT_S = 30.0


class Flow:
    """One authorization: from the URL that a person opens to the tokens. Good for one redirect."""

    def __init__(self, credential: Credential[Any], stored: Any, *, redirect_url: str) -> None:
        """`stored`: the model as it is set, or None. Errors: ExtraMissing, InvalidCredential without a client."""
        if credential.oauth is None:
            raise InvalidCredential(
                f"credential {credential.name} is not obtained with OAuth: it has no oauth=. Nothing was changed. Set "
                f"it with `ksl credentials set {credential.name} --set FIELD=...`."
            )
        self._credential = credential
        self._oauth = credential.oauth
        self._stored = stored
        self._redirect_url = redirect_url
        self._state = secrets.token_urlsafe(32)
        self._verifier = secrets.token_urlsafe(64)
        _require_safe(credential)

    @property
    def url(self) -> str:
        """Where the person allows it."""
        client = _client(self._credential, self._stored, redirect_url=self._redirect_url)
        parameters = dict(self._oauth.parameters or {})
        url, _ = client.create_authorization_url(
            self._oauth.authorize_url, state=self._state, code_verifier=self._verifier, **parameters
        )
        return str(url)

    @property
    def client_fields(self) -> dict[str, str]:
        """Who the application is. Stored with the tokens, since a refresh needs it too."""
        found: dict[str, str | None] = {"client_id": getattr(self._stored, "client_id", "")}
        secret = getattr(self._stored, "client_secret", None)
        found["client_secret"] = None if secret is None else secret.get_secret_value()
        known = self._credential.fields.model_fields
        return {name: value for name, value in found.items() if value and name in known}

    async def finish(self, query: dict[str, str]) -> dict[str, Any]:
        """What to store, from the query of the redirect. Errors: AuthorizationFailed."""
        if not secrets.compare_digest(query.get("state", "").encode(), self._state.encode()):
            raise _failed(
                self._credential,
                "the answer's `state` is not the one of this request, so somebody else sent it",
            )
        if "error" in query:
            raise _failed(self._credential, f"{query['error']} {query.get('error_description', '')}".strip())
        if not query.get("code"):
            raise _failed(self._credential, "the answer holds no code")
        async with _client(self._credential, self._stored, redirect_url=self._redirect_url) as client:
            token = await _asked(
                self._credential,
                client.fetch_token(
                    self._oauth.token_url,
                    grant_type="authorization_code",
                    code=query["code"],
                    code_verifier=self._verifier,
                ),
            )
        return _fields(self._credential, token)


class Refreshing:
    """One refresh at a time for each token: a second one would make a service withdraw both."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._turns: dict[CredentialPlace, asyncio.Lock] = {}
        self._under_way: set[asyncio.Task[Opened]] = set()

    async def fresh(
        self,
        credential: Credential[Any],
        shelf: Shelf,
        place: CredentialPlace,
        opened: Opened,
        *,
        store: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> Opened:
        """`opened`, or what it was refreshed to; `store` has returned then. Errors: AuthorizationFailed, or what kept
        the service from being reached, which may pass."""
        if not self._has_run_out(credential, opened):
            return opened
        task = asyncio.create_task(self._refreshed(credential, shelf, place, opened, store))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        # A step may be cancelled meanwhile. The service has taken the old refresh token back by then, so what it
        # answers must be stored all the same.
        return await asyncio.shield(task)

    async def settled(self) -> None:
        """Returns when no refresh is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _refreshed(
        self,
        credential: Credential[Any],
        shelf: Shelf,
        place: CredentialPlace,
        opened: Opened,
        store: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> Opened:
        async with self._turns.setdefault(place, asyncio.Lock()), shelf.refreshing(place):
            opened = await shelf.open(place) or opened  # somebody else may have refreshed it meanwhile
            if not self._has_run_out(credential, opened):
                return opened
            stored = values.opened(credential, opened)
            refresh_token = getattr(stored, "refresh_token", None)
            if not refresh_token or not refresh_token.get_secret_value():
                raise _failed(credential, "the token has run out, and there is none to refresh it with")
            assert credential.oauth is not None
            _require_safe(credential)
            async with _client(credential, stored) as client:
                token = await _asked(
                    credential,
                    client.refresh_token(
                        credential.oauth.token_url, refresh_token=refresh_token.get_secret_value()
                    ),
                )
            kept = {field: values.json_value(value) for field, value in opened.items()}
            await store({**kept, **_fields(credential, token)})
            return await shelf.open(place) or opened

    def _has_run_out(self, credential: Credential[Any], opened: Opened) -> bool:
        if "expires_at" not in opened:
            return False
        expires_at: datetime | None = getattr(values.opened(credential, opened), "expires_at", None)
        return expires_at is not None and expires_at.timestamp() * 1000 < self._now_ms() + EARLY_S * 1000


def _client(credential: Credential[Any], stored: Any, *, redirect_url: str | None = None) -> Any:
    """Authlib's client, which has no types of its own."""
    try:
        with warnings.catch_warnings():
            from authlib.deprecate import AuthlibDeprecationWarning  # shows itself always, from its import on

            # It is of Authlib's choice of an HTTP library, which is none of a user's business.
            warnings.simplefilter("ignore", AuthlibDeprecationWarning)
            from authlib.integrations.httpx_client import AsyncOAuth2Client  # pyright: ignore[reportUnknownVariableType]
    except ImportError:
        raise ExtraMissing(
            f"credential {credential.name} needs OAuth, which comes with an extra of ksl. Nothing was changed. Install "
            'it: `pip install "ksl[oauth]"`.'
        ) from None
    assert credential.oauth is not None
    client_id = getattr(stored, "client_id", "") or credential.oauth.client_id
    if not client_id:
        raise InvalidCredential(
            f"credential {credential.name} has no client_id yet: the id that the service gave your application. Put it "
            f"into OAuth(client_id=...), or `ksl credentials set {credential.name} --set client_id=...`, with "
            "--set client_secret=@env:... if the service gave one. Nothing was changed."
        )
    secret = getattr(stored, "client_secret", None)
    client: Any = AsyncOAuth2Client
    return client(
        client_id=client_id,
        client_secret=None if secret is None else secret.get_secret_value(),
        token_endpoint_auth_method="client_secret_basic" if secret is not None else "none",
        scope=" ".join(credential.oauth.scopes) or None,
        redirect_uri=redirect_url,
        code_challenge_method="S256",
        timeout=TIMEOUT_S,
        follow_redirects=False,
    )


async def _asked(credential: Credential[Any], asking: Awaitable[Any]) -> dict[str, Any]:
    """The service's answer. What it says of a refusal is told; what was sent is not."""
    from authlib.common.errors import AuthlibBaseError

    try:
        token: dict[str, Any] = dict(await asking)
    except AuthlibBaseError as error:
        raise _failed(
            credential, f"{error.error or 'it was refused'} {error.description or ''}".strip()
        ) from None
    except ValueError:
        raise _failed(credential, "the service's answer is no JSON") from None
    if not token.get("access_token"):
        raise _failed(credential, "the service's answer holds no access token")
    return token


def _fields(credential: Credential[Any], token: dict[str, Any]) -> dict[str, Any]:
    """Of a token endpoint's answer (RFC 6749, 5.1), those that the model has. A refresh token that does not come stays
    as it was."""
    found: dict[str, Any] = {"access_token": token["access_token"], "expires_at": None}
    if token.get("expires_at") is not None:
        found["expires_at"] = datetime.fromtimestamp(float(token["expires_at"]), tz=UTC).isoformat()
    for name in ("token_type", "refresh_token", "scope"):
        if isinstance(token.get(name), str) and token[name]:
            found[name] = token[name]
    return {name: value for name, value in found.items() if name in credential.fields.model_fields}


def _require_safe(credential: Credential[Any]) -> None:
    """A secret goes over TLS, or stays on this machine."""
    assert credential.oauth is not None
    for url in (credential.oauth.authorize_url, credential.oauth.token_url):
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise InvalidCredential(
                f"credential {credential.name}: {url} is not an https:// address. Nothing was sent. Take the service's "
                "https address (http:// is taken on this machine only)."
            )


def _failed(credential: Credential[Any], why: str) -> AuthorizationFailed:
    return AuthorizationFailed(
        f"credential {credential.name} was not authorized: {why}. What was stored is as it was. Connect it again: "
        f"`ksl credentials connect {credential.name}`."
    )
