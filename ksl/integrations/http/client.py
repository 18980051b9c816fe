"""What an author's action asks, and what is made of it before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, JsonValue

from ksl import ActionContext, Credential, Retry
from ksl.define.duration import parse_duration, parse_size
from ksl.integrations.http.addresses import AddressRules
from ksl.integrations.http.answer import HttpAnswer
from ksl.integrations.http.authorization import can_authorize, secret_headers
from ksl.integrations.http.errors import HttpRefused, HttpUnavailable

if TYPE_CHECKING:
    from ksl.integrations.http.network import Resolve

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Query = Mapping[str, str | int | float | bool | list[str]]

# For actions that use a client. A request that may succeed later is made four times within about ten seconds, or
# when the service says.
RETRY = Retry(attempts=4, initial="1s", maximum="30s", on=(HttpUnavailable,))

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
# Inputs are kept in the history, in the clear; and the rest is the connection's own business.
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})
_OWN = frozenset({"connection", "content-length", "host", "te", "transfer-encoding", "upgrade", "expect"})


class HttpClient:
    """Makes requests within bounds, for one service or for many.

    Only public addresses are reached, whatever a name or a redirect leads to, and those that `allow` names
    (addresses and networks: "10.0.0.0/8"). With `base_url`, addresses are below it, or at least on its host.
    `credential` goes to that host only, and only over requests whose action names it too. `timeout` is for a
    whole request with its redirects, `body_max` for a body after unpacking.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        credential: Credential[Any] | None = None,
        allow: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        timeout: str | float | timedelta = "30s",
        body_max: str | int = "10MiB",
        redirects: int = 5,
        ca_file: str | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """`ca_file` is trusted instead of the usual certificates; `resolve` looks names up, for tests.

        Errors: ValueError and HttpRefused for what can never work.
        """
        if credential is not None and base_url is None:
            raise ValueError("HttpClient(credential=...) needs base_url: who else is the secret for?")
        if credential is not None and not can_authorize(credential.fields):
            raise ValueError(
                f"HttpClient(credential={credential!r}): its fields are {credential.fields.__name__}. Take "
                "BearerToken, BasicLogin or HeaderSecret, or an OAuth credential."
            )
        self.base_url = None if base_url is None else base_url.rstrip("/") + "/"
        self.credential = credential
        self.rules = AddressRules(allow)
        self.headers = _checked(headers or {})
        self.timeout_s = parse_duration(timeout)
        self.body_max = parse_size(body_max)
        self.redirects = redirects
        self.ca_file = ca_file
        self.resolve = resolve

    async def get(
        self,
        ctx: ActionContext,
        url: str,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
    ) -> HttpAnswer:
        return await self.request(ctx, "GET", url, query=query, headers=headers, accept=accept)

    async def post(
        self,
        ctx: ActionContext,
        url: str,
        *,
        json: JsonValue | BaseModel = None,
        form: Mapping[str, str] | None = None,
        text: str | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
    ) -> HttpAnswer:
        return await self.request(
            ctx, "POST", url, json=json, form=form, text=text, query=query, headers=headers, accept=accept
        )

    async def request(
        self,
        ctx: ActionContext,
        method: Method,
        url: str,
        *,
        json: JsonValue | BaseModel = None,
        form: Mapping[str, str] | None = None,
        text: str | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
    ) -> HttpAnswer:
        """The answer, if its status is 2xx or among `accept`.

        A body is one of `json`, `form` and `text`. A POST or PATCH carries the step's key as `Idempotency-Key`.
        Errors: HttpUnavailable, HttpBusy (tried again where the action's retry policy is `RETRY`), HttpRefused,
        AddressRefused.
        """
        from ksl.integrations.http.exchange import Sending, exchange  # late: httpx takes a while to import

        content, content_type = _body(json, form, text)
        sent = {**self.headers, **_checked(headers or {})}
        if content_type is not None:
            sent.setdefault("content-type", content_type)
        private: dict[str, str] = {}
        if method in ("POST", "PATCH") and ctx.idempotency_key:
            private["idempotency-key"] = ctx.idempotency_key
        if self.credential is not None:
            private |= _checked(secret_headers(ctx.credentials[self.credential]), secret=True)
        return await exchange(
            self,
            Sending(
                method=method,
                url=url,
                query=_query(query or {}),
                headers=sent,
                private=private,
                content=content,
                accept=frozenset(accept),
            ),
        )


def _body(json: Any, form: Mapping[str, str] | None, text: str | None) -> tuple[bytes | None, str | None]:
    given = [name for name, value in (("json", json), ("form", form), ("text", text)) if value is not None]
    if len(given) > 1:
        raise HttpRefused(
            f"a request has one body, and this one has {' and '.join(given)}. Nothing was sent."
        )
    if json is not None:
        return _json(json), "application/json"
    if form is not None:
        from urllib.parse import urlencode

        return urlencode(form).encode(), "application/x-www-form-urlencoded"
    return (None, None) if text is None else (text.encode(), "text/plain; charset=utf-8")


def _json(value: Any) -> bytes:
    from json import dumps

    from pydantic_core import to_jsonable_python

    try:
        plain = to_jsonable_python(value, inf_nan_mode="constants")
        return dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except ValueError as error:  # NaN, half a surrogate pair, an object that is no JSON
        raise HttpRefused(f"the body is no JSON: {error}. Nothing was sent.") from None


def _query(query: Query) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        for each in value if isinstance(value, list) else [value]:
            pairs.append((name, str(each).lower() if isinstance(each, bool) else str(each)))
    return pairs


def _checked(headers: Mapping[str, str], *, secret: bool = False) -> dict[str, str]:
    """With lower-case names. Errors: HttpRefused; it does not hold the value."""
    checked: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if _TOKEN.fullmatch(name) is None or _VALUE.fullmatch(value) is None or lower in checked:
            raise HttpRefused(
                f"the header {name[:60]!r} cannot be sent: names are letters, digits and dashes, each given once; "
                "values are printable ASCII on one line. Nothing was sent."
            )
        if lower in _OWN or (lower in _SECRET and not secret):
            why = "inputs are kept in the history, so a secret belongs into a credential"
            told = why if lower in _SECRET else "it is set by the connection itself"
            raise HttpRefused(f"the header {name} cannot be given: {told}. Nothing was sent.")
        checked[lower] = value.strip()
    return checked
