"""The ids of runs and firings."""

from __future__ import annotations

import secrets
import time


def new_run_id() -> str:
    """`run_` and 20 characters: the time, so that ids sort by age, and 50 random bits."""
    return "run_" + _base32(time.time_ns() // 1_000_000) + _base32(secrets.randbits(50))


def new_firing_id() -> str:
    """`fir_` and the same."""
    return "fir_" + new_run_id().removeprefix("run_")


_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # no i, l, o, u: easily misread
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]


def _base32(number: int) -> str:
    """50 bits as ten digits."""
    return (
        _PAIRS[number >> 40 & 1023]
        + _PAIRS[number >> 30 & 1023]
        + _PAIRS[number >> 20 & 1023]
        + _PAIRS[number >> 10 & 1023]
        + _PAIRS[number & 1023]
    )
