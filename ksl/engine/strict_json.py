"""Strict JSON in (RFC 8259): what a lenient parser lets through would come back different, or not at all."""

from __future__ import annotations

import json
from typing import NoReturn

import msgspec

from ksl.errors import BadJson

DEPTH_MAX = 200
_STATE = "Nothing was stored."  # all of this is looked at first


def check(text: bytes, *, what: str) -> None:
    """Errors: BadJson for a byte-order mark, NaN and infinities, lone surrogates, nesting over 200, and
    whatever is not JSON. A key given twice is allowed: the last one wins."""
    _check_depth(text, what=what)
    try:
        msgspec.json.decode(text)
        return
    except (ValueError, RecursionError):
        pass  # msgspec is as strict; what is wrong is said below
    if text.startswith(b"\xef\xbb\xbf"):
        raise BadJson(
            f"{what} starts with a byte-order mark, which JSON does not have. Send plain UTF-8. {_STATE}"
        )
    _check_depth(text, what=what)
    try:
        _strict.decode(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadJson(f"{what} is not UTF-8: byte {error.start} cannot be read. {_STATE}") from None
    except _Constant as constant:
        raise BadJson(
            f"{what} holds {constant}, which JSON does not have. Use null, a string or a number. {_STATE}"
        ) from None
    except ValueError as error:
        raise BadJson(f"{what} is not JSON: {error}. {_STATE}") from None
    if b"\\u" in text or b"\\U" in text:
        try:
            json.dumps(json.loads(text), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise BadJson(
                f"{what} holds a lone surrogate (an \\ud800 to \\udfff without its pair), which no text can carry. "
                f"{_STATE}"
            ) from None


class _Constant(Exception):
    pass


def _refuse_constant(name: str) -> NoReturn:
    raise _Constant(name)


_strict = json.JSONDecoder(parse_constant=_refuse_constant)


def _check_depth(text: bytes, *, what: str) -> None:
    if text.count(b"[") + text.count(b"{") <= DEPTH_MAX:
        return
    depth = deepest = 0
    inside = escaped = False
    for byte in text:
        if inside:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside = False
        elif byte == 0x22:
            inside = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    if deepest > DEPTH_MAX:
        raise BadJson(f"{what} is nested {deepest} deep; at most {DEPTH_MAX} is taken. Flatten it. {_STATE}")
