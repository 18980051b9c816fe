"""Moments as the API writes them: RFC 3339 in UTC with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(at_ms: int) -> str:
    """1795262400000 -> "2026-11-21T12:00:00.000Z"."""
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def rfc3339_or_none(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def parse_rfc3339(text: str) -> int:
    """Unix milliseconds. ValueError for anything but a moment with an offset (`Z` or `+02:00`)."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f'"{text}" is not a moment like "2026-11-21T12:00:00Z", with its offset')
    return (at - _EPOCH) // timedelta(milliseconds=1)
