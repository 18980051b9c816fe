"""When a service wants to be asked again."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 15 * 60.0
SHORTEST_S = 1.0  # "0" and moments that are past still mean: not at once


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds from now, of a `Retry-After` in seconds or as a date; from 1 s to 15 minutes. None: not readable."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        wait_s = float(text[:12])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        # A date of HTTP is GMT, which the parser tells as "no zone known" where it is written -0000.
        wait_s = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(wait_s, SHORTEST_S), LONGEST_S)
