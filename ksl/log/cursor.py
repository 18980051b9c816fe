"""The cursor of a list: the place of its last row, as text that callers hand back unread."""

from __future__ import annotations

from ksl.errors import BadRequest

_PLACE_MAX = 2**63 - 1


def place(cursor: str | None) -> int:
    """Rows before this place come next. Errors: BadRequest for a cursor that no list gave out."""
    if cursor is None:
        return _PLACE_MAX
    if cursor.isascii() and cursor.isdigit() and len(cursor) < 19:
        return int(cursor)
    raise BadRequest(f"cursor {cursor[:40]!r} was not given out by this list. Start again without one.")
