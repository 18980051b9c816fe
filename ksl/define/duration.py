"""Stretches of time and amounts of bytes, as people write them.

Durations are seconds inside ksl; a bare number, also as text ("30"), is a number of seconds. Both parsers
raise ValueError, for a wrong type too, and its text says what is accepted.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta

Duration = str | int | float | timedelta

DURATION_FORMS = 'a duration like "250ms", "1.5s", "1h30m", "2d", "1w", or a number of seconds'
SIZE_FORMS = 'a size like "512KiB", "1MiB", "2GiB", or a whole number of bytes'

# A thousand years. Any moment this far from now still fits a datetime and a 64-bit count of milliseconds,
# so no caller has to guard its own arithmetic.
LONGEST_S = 365_250 * 86_400.0


def parse_duration(value: Duration) -> float:
    """Seconds, finite and not negative."""
    seconds = _seconds(value)
    if seconds is None or not 0 <= seconds <= LONGEST_S:
        raise ValueError(f"{_shown(value)} is not {DURATION_FORMS}{_reason(seconds)}")
    return seconds


def format_duration(seconds: float) -> str:
    """The short form, to the millisecond: "1h30m", "1.5s", "250ms", "0s"; with a minus sign if negative."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    ms = round(seconds * 1000)
    if 0 < seconds < 1 and ms < 1000:
        return f"{ms}ms" if ms else f"{seconds * 1000:.3f}".rstrip("0").rstrip(".") + "ms"
    parts: list[str] = []
    for unit, unit_ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        count, ms = divmod(ms, unit_ms)
        if count:
            parts.append(f"{count}{unit}")
    if ms or not parts:
        parts.append(f"{ms / 1000:g}s")
    return "".join(parts)


def parse_size(value: str | int) -> int:
    """Bytes, not negative. KiB, MiB, GiB are powers of 1024; kB, MB, GB of 1000; case does not matter."""
    size = _bytes(value)
    if size is None or size < 0:
        raise ValueError(f"{_shown(value)} is not {SIZE_FORMS}")
    return size


def format_size(size: int) -> str:
    """The short form in powers of 1024, to one decimal: "1MiB", "1.5KiB", "812B"."""
    if size < 1024:
        return f"{size}B"
    amount = size / 1024
    unit = "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        # 1023.95 would print as "1024KiB"
        if amount < 1023.95:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f}".removesuffix(".0") + unit


_DURATION = re.compile(
    r"(?:([0-9.]+)\s*w)?\s*(?:([0-9.]+)\s*d)?\s*(?:([0-9.]+)\s*h)?\s*"
    r"(?:([0-9.]+)\s*m)?\s*(?:([0-9.]+)\s*s)?\s*(?:([0-9.]+)\s*ms)?"
)
_UNITS_S = (604_800.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)  # in the order of the pattern's groups
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")

_SIZE = re.compile(r"([0-9.]+)\s*(|b|kib|mib|gib|tib|kb|mb|gb|tb)", re.IGNORECASE)
_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
}


def _seconds(value: object) -> float | None:
    match value:
        case bool():
            return None
        case timedelta():
            return value.total_seconds()
        case int() | float():
            try:
                return float(value)
            except OverflowError:
                return math.inf
        case str():
            return _seconds_of_text(value.strip())
        case _:
            return None


def _seconds_of_text(text: str) -> float | None:
    sign = -1.0 if text.startswith("-") else 1.0
    text = text.removeprefix("-")
    if _NUMBER.fullmatch(text):
        return sign * float(text)
    found = _DURATION.fullmatch(text)
    amounts = [amount for amount in found.groups() if amount] if found else []
    if found is None or not amounts or not all(_NUMBER.fullmatch(amount) for amount in amounts):
        return None
    # fsum, so that "1s1ms" is the float nearest to 1.001 and not its neighbour
    return sign * math.fsum(
        float(amount) * unit_s for amount, unit_s in zip(found.groups(), _UNITS_S, strict=True) if amount
    )


def _bytes(value: object) -> int | None:
    match value:
        case bool():
            return None
        case int():
            return value
        case str():
            found = _SIZE.fullmatch(value.strip())
            if found is None or not _NUMBER.fullmatch(found[1]):
                return None
            scale = _SIZE_UNITS[found[2].lower()]
            if found[1].isdigit():
                return int(found[1]) * scale if len(found[1]) <= 18 else None
            size = float(found[1]) * scale
            return int(size) if size.is_integer() else None
        case _:
            return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _reason(seconds: float | None) -> str:
    if seconds is None or math.isnan(seconds):
        return ""
    return "; it must not be negative" if seconds < 0 else "; the longest is 365250d"
