"""What was recorded with secrets taken out of it, compared with what the code gives now."""

from __future__ import annotations

import json
import re
from typing import Any, cast

_MASK = re.compile(r"\[redacted:[a-z0-9-]+\]")


def fits_masked(recorded: bytes, given: bytes) -> bool:
    """Whether the JSON texts are the same but for masks, each of which may stand for any text. Which secrets are known
    differs from process to process; a run must not be held for that."""
    if recorded == given:
        return True
    if b"[redacted:" not in recorded:
        return False
    return _fits(json.loads(recorded), json.loads(given))


def _fits(recorded: Any, given: Any) -> bool:
    match recorded:
        case str():
            text = given if isinstance(given, str) else json.dumps(given)
            parts = [re.escape(part) for part in _MASK.split(recorded)]
            if len(parts) == 1:
                return recorded == given
            return re.fullmatch(".*".join(parts), text, re.DOTALL) is not None
        case dict():
            # Masking keeps the order, and a name may be masked too.
            theirs = list(cast("dict[str, Any]", recorded).items())
            ours = list(cast("dict[str, Any]", given).items()) if isinstance(given, dict) else []
            return len(theirs) == len(ours) and all(
                _fits(name, other) and _fits(value, value_now)
                for (name, value), (other, value_now) in zip(theirs, ours, strict=True)
            )
        case list():
            items = cast("list[Any]", recorded)
            now = cast("list[Any]", given) if isinstance(given, list) else None
            return now is not None and len(items) == len(now) and all(map(_fits, items, now))
        case _:
            return recorded == given
