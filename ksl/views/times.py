"""Moments as the API writes and reads them: RFC 3339 in UTC with milliseconds."""

from __future__ import annotations

from ksl.define.duration import parse_duration
from ksl.records.moment import from_rfc3339, rfc3339

__all__ = ["moment_or_ago", "parse_rfc3339", "rfc3339", "rfc3339_or_none"]


def rfc3339_or_none(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def moment_or_ago(text: str, now_ms: int) -> int:
    """Unix milliseconds of a moment, or of a stretch of time back from now. ValueError, fit to be shown."""
    try:
        return now_ms - round(parse_duration(text) * 1000)
    except ValueError:
        pass  # then it is a moment
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise ValueError(
            f'"{text}" is neither a stretch of time back from now, like "30m" or "2d", '
            'nor a moment like "2026-11-21T12:00:00Z"'
        ) from None


def parse_rfc3339(text: str) -> int:
    """Unix milliseconds. ValueError, fit to be shown, for anything but a moment with its offset."""
    try:
        return from_rfc3339(text)
    except (ValueError, OverflowError):
        raise ValueError(f'"{text}" is not a moment like "2026-11-21T12:00:00Z", with its offset') from None
