"""What routes read from a request, and how they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.feed import Feed
from ksl.api.link_visits import LinkVisits
from ksl.errors import BadJson, BadMediaType, BadRequest, InvalidInput
from ksl.views.values import encode

if TYPE_CHECKING:
    from ksl.runtime import Runtime

T = TypeVar("T", bound=msgspec.Struct)

KEY_MAX = 200  # characters of an idempotency key
FORM = "application/x-www-form-urlencoded"


def runtime_of(request: Request) -> Runtime:
    return cast("Runtime", request.app.state.runtime)


def feed_of(request: Request) -> Feed:
    return cast(Feed, request.app.state.feed)


def visits_of(request: Request) -> LinkVisits:
    return cast(LinkVisits, request.app.state.visits)


def stopping_of(request: Request) -> asyncio.Event:
    """Set when the server is told to stop."""
    return cast(asyncio.Event, request.app.state.stopping)


def answer(value: object, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode(value), status, headers, "application/json")


def media_type(request: Request) -> str:
    """Without its parameters, in small letters; "" when the request does not say."""
    kinds = [each.partition(";")[0].strip().lower() for each in request.headers.getlist("content-type")]
    # Said twice it is no type at all: a proxy on the way may have gone by the other one.
    return ", ".join(kinds)


async def json_body(request: Request) -> bytes:
    """The body as it came, null for an empty one. Whether it is JSON is for the caller to find out.

    Errors:  BadMediaType for a body that says it is something else. Guessing would let a web page's plain
    form, which needs no permission of the browser, pass for JSON.
    """
    kind = media_type(request)
    if kind not in ("", "application/json") or not is_utf8(request):
        raise BadMediaType(
            f"The body says it is {request.headers['content-type'][:100]}; this address takes "
            "application/json in UTF-8. Nothing was done. With curl, add -H 'Content-Type: application/json'."
        )
    return await request.body() or b"null"


async def envelope(request: Request, shape: type[T]) -> T:
    """The body read as an object of ksl's own, such as `{"step", "payload"}`; an empty body is `{}`.

    Errors:  BadMediaType; BadJson; InvalidInput for a field that is unknown or of the wrong type.
    """
    body = await json_body(request)
    try:
        # A raw field is copied without a look at its letters, so this look comes first.
        body.decode()
        return msgspec.json.decode(b"{}" if body.strip() == b"null" else body, type=shape)
    except msgspec.ValidationError as wrong:
        text, _, where = str(wrong).partition(" - at `$")
        loc = [part for part in where.removesuffix("`").split(".") if part]
        raise InvalidInput(
            f"The body does not fit this address: {wrong}.", [{"loc": loc, "msg": text}]
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise BadJson(f"The body is not JSON: {wrong}. Nothing was done.") from None


def is_utf8(request: Request) -> bool:
    """Or it does not say."""
    parameters = request.headers.get("content-type", "").lower().split(";")[1:]
    charsets = [
        value.strip('" ')
        for key, _, value in (p.strip().partition("=") for p in parameters)
        if key == "charset"
    ]
    return all(charset in ("utf-8", "utf8") for charset in charsets)


def idempotency_key(request: Request) -> str | None:
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    key = keys[0]
    if len(keys) > 1 or not 0 < len(key) <= KEY_MAX or not all(" " <= letter <= "~" for letter in key):
        raise BadRequest(
            f"The Idempotency-Key header is one key of 1 to {KEY_MAX} printable ASCII characters. "
            "Nothing was started."
        )
    return key
