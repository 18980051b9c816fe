from __future__ import annotations

import pytest

from ksl.views.times import parse_rfc3339, rfc3339, rfc3339_or_none


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_262_400_000, "2026-11-21T12:00:00.000Z"),
        (1_795_262_400_007, "2026-11-21T12:00:00.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_a_moment_is_written_in_utc_with_milliseconds_and_reads_back(at_ms: int, text: str) -> None:
    assert rfc3339(at_ms) == text
    assert parse_rfc3339(text) == at_ms


def test_an_offset_is_taken_into_account() -> None:
    assert parse_rfc3339("2026-11-21T14:00:00+02:00") == 1_795_262_400_000


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-21T12:00:00", "1795262400000"])
def test_a_moment_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a moment"):
        parse_rfc3339(text)


def test_no_moment_is_null() -> None:
    assert rfc3339_or_none(None) is None
