"""One request on the network, with its redirects, and what its outcome means."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import httpx

from ksl.define.duration import format_duration, format_size
from ksl.integrations.http.answer import HttpAnswer, body_fields
from ksl.integrations.http.decoding import BoundedBody
from ksl.integrations.http.errors import HttpBusy, HttpError, HttpRefused, HttpUnavailable
from ksl.integrations.http.network import PinnedBackend, PinnedTransport, resolved
from ksl.integrations.http.retry_after import retry_after_s

if TYPE_CHECKING:
    from ksl.integrations.http.client import HttpClient

_CONNECT_S = 10.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 421, 425, 429, *range(500, 600)} - {501, 505})  # those two will not change
_TOLD_MAX = 300  # characters of a body that an error shows


@dataclass(frozen=True)
class Sending:
    """`private` headers go to the host of the first address only."""

    method: str
    url: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    private: dict[str, str]
    content: bytes | None
    accept: frozenset[int]


async def exchange(client: HttpClient, sending: Sending) -> HttpAnswer:
    url = _first_url(client, sending)
    where = f"{sending.method} {_shown(url)}"
    try:
        async with asyncio.timeout(client.timeout_s):
            return await _with_redirects(client, sending, url)
    except TimeoutError:
        raise HttpUnavailable(f"{where}: no whole answer in {format_duration(client.timeout_s)}") from None
    except (HttpError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise _told(error, where) from None


async def _with_redirects(client: HttpClient, sending: Sending, url: httpx.URL) -> HttpAnswer:
    first = url
    backend = PinnedBackend(client.rules, client.resolve or resolved)
    transport = PinnedTransport(backend, _trust(client.ca_file))
    timeout = httpx.Timeout(client.timeout_s, connect=min(_CONNECT_S, client.timeout_s))
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout) as http:
        for _ in range(client.redirects + 1):
            private = sending.private if _origin(url) == _origin(first) else {}
            request = http.build_request(
                sending.method,
                url,
                headers={"accept": "*/*", "user-agent": "ksl", **sending.headers, **private}
                | {"accept-encoding": "gzip"},
                content=sending.content,
            )
            response = await http.send(request, stream=True)
            try:
                if response.status_code not in _REDIRECTS or response.status_code in sending.accept:
                    return await _answer(client, sending, url, response)
                url, sending = _next(url, sending, response)
            finally:
                await response.aclose()
    raise HttpRefused(f"more than {client.redirects} redirects")


async def _answer(
    client: HttpClient, sending: Sending, url: httpx.URL, response: httpx.Response
) -> HttpAnswer:
    content = await _content(client.body_max, sending.method, response)
    headers = {
        name.lower(): value for name, value in response.headers.items() if name.lower() != "set-cookie"
    }
    answer = HttpAnswer(
        status=response.status_code,
        url=_shown(url),  # the query of a redirect often is a key
        headers=headers,
        **body_fields(content, headers.get("content-type", "")),
    )
    if response.is_success or answer.status in sending.accept:
        return answer
    told = f"answered {answer.status}" + (
        f": {answer.text[:_TOLD_MAX].strip()}" if answer.text.strip() else ""
    )
    if answer.status not in _LATER:
        raise HttpRefused(told)
    wait_s = retry_after_s(headers.get("retry-after"), datetime.now(UTC))
    if wait_s is not None:
        raise HttpBusy(told, after=wait_s)
    raise HttpUnavailable(told)


async def _content(limit: int, method: str, response: httpx.Response) -> bytes:
    length = response.headers.get("content-length", "")
    if method != "HEAD" and length.isascii() and length.isdigit() and int(length[:18]) > limit:
        raise HttpRefused(f"the body is larger than {format_size(limit)}")
    body = BoundedBody(response.headers.get("content-encoding", ""), limit=limit)
    async for piece in response.aiter_raw():
        body.feed(piece)
    return body.whole()


def _first_url(client: HttpClient, sending: Sending) -> httpx.URL:
    text = sending.url
    is_whole = text.lower().startswith(("http://", "https://"))
    if client.base_url is not None and not is_whole:
        text = client.base_url + text.lstrip("/")
    try:
        url = httpx.URL(text)
        base = None if client.base_url is None else httpx.URL(client.base_url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise HttpRefused(
            f"{sending.method}: the address cannot be read: {error}. Nothing was sent."
        ) from None
    url = url.copy_with(fragment=None)
    if sending.query:
        url = url.copy_merge_params(httpx.QueryParams([*url.params.multi_items(), *sending.query]))
    _check(url)
    if base is not None and _origin(url) != _origin(base):
        raise HttpRefused(f"{_shown(url)} is not on the host of {_shown(base)}. Nothing was sent.")
    return url


def _check(url: httpx.URL) -> None:
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 1) < 65_536:
        raise HttpRefused(f"{_shown(url)} is no address of http or https. Nothing was sent there.")
    if url.userinfo:
        raise HttpRefused(
            f"{_shown(url)} has a name or password in it. Inputs are kept in the history: put it into a credential. "
            "Nothing was sent there."
        )


def _next(url: httpx.URL, sending: Sending, response: httpx.Response) -> tuple[httpx.URL, Sending]:
    """Where a redirect leads, and what is sent there."""
    location = response.headers.get("location")
    if location is None:
        raise HttpRefused(f"answered {response.status_code} without saying where else")
    try:
        target = url.join(location).copy_with(fragment=None)
    except (httpx.InvalidURL, UnicodeError):
        raise HttpRefused("redirected to an address that cannot be read") from None
    _check(target)
    if url.scheme == "https" and target.scheme == "http":
        raise HttpRefused(f"redirected from https to {_shown(target)}. Nothing was sent there.")
    becomes_get = sending.method == "POST" and response.status_code in (301, 302)
    if becomes_get or (response.status_code == 303 and sending.method != "HEAD"):
        headers = {name: value for name, value in sending.headers.items() if not name.startswith("content-")}
        sending = replace(sending, method="GET", content=None, headers=headers)
    return target, sending


def _told(error: Exception, where: str) -> HttpError:
    match error:
        case HttpBusy():
            return HttpBusy(f"{where}: {error}", after=error.after)
        case HttpError():
            return type(error)(f"{where}: {error}")
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError() | httpx.InvalidURL():
            return HttpRefused(f"{where}: {error}. Nothing was sent.")
        case _:
            return HttpUnavailable(f"{where}: {str(error) or type(error).__name__}")


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


def _shown(url: httpx.URL) -> str:
    """Without what may be secret: name, password and query."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


@lru_cache(maxsize=8)
def _trust(ca_file: str | None) -> ssl.SSLContext:
    """Made once: reading the certificates takes tens of milliseconds."""
    if ca_file is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        why = error.strerror or error
        raise HttpRefused(f"ca_file={ca_file!r} holds no certificates: {why}. Nothing was sent") from None
