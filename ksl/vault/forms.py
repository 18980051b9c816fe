"""The forms in which a secret may turn up in text: as it is, and as the usual encodings write it."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

LENGTH_MIN = 6  # characters; what is shorter would turn up in text that has nothing to do with it


def forms(secret: str) -> tuple[str, ...]:
    """Each once, longest first: where one holds another, the longer one is to be masked.

    Text of JSON, URLs and HTML; base64 and base64url, wherever in a longer text the secret begins; hexadecimal digits.
    Empty for a secret that is too short to be told from other text.
    """
    if len(secret) < LENGTH_MIN:
        return ()
    data = secret.encode("utf-8", "surrogatepass")
    found = {secret, *_escaped(secret), *_percent(secret), *_base64(data), data.hex(), data.hex().upper()}
    return tuple(
        sorted((form for form in found if len(form) >= LENGTH_MIN), key=lambda form: (-len(form), form))
    )


def _escaped(secret: str) -> set[str]:
    as_json = {_in_json(secret, ascii=True), _in_json(secret, ascii=False)}
    slashed = {form.replace("/", "\\/") for form in as_json}
    # JSON in a string of JSON: what services answer with is often logged or recorded so.
    twice = {_in_json(form, ascii=True) for form in as_json | slashed}
    return (
        as_json
        | slashed
        | twice
        | {repr(secret)[1:-1], html.escape(secret), html.escape(secret, quote=False)}
    )


def _in_json(text: str, *, ascii: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii)[1:-1]


def _percent(secret: str) -> set[str]:
    upper: set[str] = set()
    for written in (quote(secret, safe="", errors="replace"), quote(secret, errors="replace")):
        upper |= {written, written.replace("~", "%7E")}
    upper.add(quote_plus(secret, errors="replace"))
    return upper | {_small_hex(form) for form in upper}


def _small_hex(text: str) -> str:
    head, *rest = text.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


def _base64(data: bytes) -> set[str]:
    """Of the three ways in which base64 may cut the bytes, the characters that depend on nothing beside them."""
    found: set[str] = set()
    for before in range(3):
        written = base64.b64encode(b"\0" * before + data).decode()
        first = -(-before * 8 // 6)
        last = (before + len(data)) * 8 // 6
        core = written[first:last]
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return found
