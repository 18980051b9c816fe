"""A server's `application/problem+json`, turned back into the error that it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from ksl.build.rules.broken import rule_broken
from ksl.errors import BadRequest, KslError, NotFound, ServerUnreachable, StoreFull


def problem(status: int, body: bytes, url: str) -> KslError:
    """The error behind an answer that is not 2xx. An answer that no ksl gave says so."""
    try:
        fields: object = json.loads(body)
    except ValueError:
        fields = None
    known = cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}
    code, detail = known.get("code"), str(known.get("detail") or known.get("title") or "")
    kind = next((kind for kind in _tree(KslError) if kind.code == code), None)
    if isinstance(code, str):
        # A newer server may say what this ksl has no class for. Its own words are the best there are.
        if kind is None and "KSL000" < code < "KSL200":
            kind = rule_broken(code)
        kind = kind or type("ServerError", (_by_status(status),), {"code": code})
        error = kind(detail)
        error.__dict__["errors"] = known.get("errors") or []
        return error
    return ServerUnreachable(
        f"{url} answered {status} and not as a ksl server would. Nothing is known to have changed. "
        "Check --url or KSL_URL; `ksl doctor` names the server of this project."
    )


def _by_status(status: int) -> type[KslError]:
    if status == 404:
        return NotFound
    return BadRequest if status in (400, 415) else StoreFull if status == 507 else KslError


def _tree(kind: type[KslError]) -> Iterator[type[KslError]]:
    yield kind
    for child in kind.__subclasses__():
        # The classes made above are not part of the tree.
        if child.__name__ != "ServerError":
            yield from _tree(child)
