"""Credentials as they may be shown: where each is set, since when and under which key. No value, sealed or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ksl.log.credentials import Sealed, places
from ksl.views.times import rfc3339
from ksl.views.values import JsonObject


def credentials_json(sealed: Sealed, defined: Iterable[str], *, built_in: Iterable[str] = ()) -> JsonObject:
    """`{"credentials": [...], "not_set": [names]}`, by name and scope. `not_set` are those that the project defines;
    `built_in` need not be defined to be known."""
    names = sorted(defined)
    known = {*names, *built_in}
    found: list[JsonObject] = [
        {
            "name": place.name,
            "scope": place.scope,
            "user": place.user or None,
            "fields": [row.field for row in rows],
            "set_at": rfc3339(max(row.set_at_ms for row in rows)),
            "key_id": rows[-1].key_id,
            "defined": place.name in known,
        }
        for place, rows in places(sealed)
    ]
    are_set = {each["name"] for each in found}
    return {"credentials": found, "not_set": [name for name in names if name not in are_set]}


def uses_json(uses: Iterable[Any]) -> list[JsonObject]:
    """What the record of an attempt says of the credentials that it was given."""
    return [{"name": use.name, "scope": use.scope, "key_id": use.key_id} for use in uses]
