from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksl.define.duration import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1w", 604_800),
        ("1w2d3h4m5s6ms", 788_645.006),
        (" 1h 30m ", 5400),
        ("30", 30),
        ("0", 0),
        (".5s", 0.5),
        (0, 0),
        (90, 90),
        (0.25, 0.25),
        (timedelta(hours=1, milliseconds=5), 3600.005),
    ],
)
def test_a_duration_in_any_of_its_forms_is_seconds(value: Any, seconds: float) -> None:
    assert parse_duration(value) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "1x",
        "1h2h",
        "30m1h",
        "1.2.3s",
        ".s",
        "1e3",
        "nan",
        "inf",
        "1 2s",
        "\u0661s",  # a digit, but not an ASCII one
        float("nan"),
        float("inf"),
        10**400,
        "9" * 400,
        True,
        None,
        [],
        b"1s",
    ],
)
def test_what_is_not_a_duration_is_refused_with_what_is_accepted(value: Any) -> None:
    with pytest.raises(ValueError, match=r'is not a duration like "250ms", "1.5s", "1h30m"'):
        parse_duration(value)


@pytest.mark.parametrize("value", [-1, -0.5, "-1s", "-30", timedelta(seconds=-1)])
def test_a_negative_duration_is_refused_by_that_name(value: Any) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        parse_duration(value)


def test_a_duration_beyond_a_thousand_years_is_refused() -> None:
    assert parse_duration("365250d") == 365_250 * 86_400
    with pytest.raises(ValueError, match="the longest is 365250d"):
        parse_duration("365251d")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (0.0002, "0.2ms"),
        (0.9999, "1s"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.9999, "1m"),
        (90, "1m30s"),
        (61.5, "1m1.5s"),
        (5400, "1h30m"),
        (172_800, "2d"),
        (604_800, "7d"),
        (-1.5, "-1.5s"),
    ],
)
def test_a_duration_is_shown_in_its_short_form(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=0, max_value=10**12))
def test_a_shown_duration_reads_back_as_itself(ms: int) -> None:
    assert round(parse_duration(format_duration(ms / 1000)) * 1000) == ms


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("1MiB", 1 << 20),
        ("1 mib", 1 << 20),
        ("1.5KiB", 1536),
        ("2GiB", 2 << 30),
        ("10kB", 10_000),
        ("512", 512),
        ("512B", 512),
        (0, 0),
        (1024, 1024),
    ],
)
def test_a_size_in_any_of_its_forms_is_bytes(value: Any, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize(
    "value", ["", "big", "MiB", "-1", -1, "1.5B", "1..2MiB", 1.5, True, None, "1e3", "9" * 30]
)
def test_what_is_not_a_size_is_refused_with_what_is_accepted(value: Any) -> None:
    with pytest.raises(ValueError, match='is not a size like "512KiB", "1MiB"'):
        parse_size(value)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1KiB"),
        (1536, "1.5KiB"),
        ((1 << 20) - 1, "1MiB"),
        (32 << 20, "32MiB"),
        (3 << 30, "3GiB"),
        (5 << 40, "5TiB"),
    ],
)
def test_a_size_is_shown_in_its_short_form(size: int, text: str) -> None:
    assert format_size(size) == text
