"""Ready actions for public addresses."""

from __future__ import annotations

from pydantic import JsonValue

from ksl import ActionContext, action
from ksl.integrations.http.answer import HttpAnswer
from ksl.integrations.http.client import RETRY, HttpClient, Method

_PUBLIC = HttpClient()

Parameters = dict[str, str | int | float | bool | list[str]]


@action(retry=RETRY)
async def http_get(
    ctx: ActionContext,
    url: str,
    query: Parameters | None = None,
    headers: dict[str, str] | None = None,
    accept: list[int] | None = None,
) -> HttpAnswer:
    """Reads a public address. A status other than 2xx fails the step, unless `accept` names it."""
    return await _PUBLIC.get(ctx, url, query=query, headers=headers, accept=accept or ())


@action(retry=RETRY)
async def http_post(
    ctx: ActionContext,
    url: str,
    json: JsonValue = None,
    form: dict[str, str] | None = None,
    text: str | None = None,
    query: Parameters | None = None,
    headers: dict[str, str] | None = None,
    accept: list[int] | None = None,
) -> HttpAnswer:
    """Posts to a public address, with the step's key as `Idempotency-Key`: a repeated attempt has the same."""
    return await _PUBLIC.post(
        ctx, url, json=json, form=form, text=text, query=query, headers=headers, accept=accept or ()
    )


@action(retry=RETRY)
async def http_request(
    ctx: ActionContext,
    method: Method,
    url: str,
    json: JsonValue = None,
    form: dict[str, str] | None = None,
    text: str | None = None,
    query: Parameters | None = None,
    headers: dict[str, str] | None = None,
    accept: list[int] | None = None,
) -> HttpAnswer:
    """Any other method on a public address."""
    return await _PUBLIC.request(
        ctx, method, url, json=json, form=form, text=text, query=query, headers=headers, accept=accept or ()
    )
