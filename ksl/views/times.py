"""Moments as the API writes and reads them: RFC 3339 in UTC with milliseconds."""

from __future__ import annotations

from ksl.records.moment import from_rfc3339, rfc3339

__all__ = ["parse_rfc3339", "rfc3339", "rfc3339_or_none"]


def rfc3339_or_none(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def parse_rfc3339(text: str) -> int:
    """Unix milliseconds. ValueError, fit to be shown, for anything but a moment with its offset."""
    try:
        return from_rfc3339(text)
    except (ValueError, OverflowError):
        raise ValueError(f'"{text}" is not a moment like "2026-11-21T12:00:00Z", with its offset') from None
