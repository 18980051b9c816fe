from __future__ import annotations

import base64
import gzip
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksl.integrations.http.answer import HttpAnswer, body_fields
from ksl.integrations.http.decoding import BoundedBody
from ksl.integrations.http.errors import HttpRefused, HttpUnavailable
from ksl.integrations.http.retry_after import retry_after_s

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", 1),
        ("86400", 900),
        ("9" * 5_000, 900),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 1),
        ("Fri, 31 Dec 2199 23:59:59 GMT", 900),
        ("Sun, 01 Mar 2026 12:01:00 -0000", 60),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("Sun, 99 Mar 2026 12:01:00 GMT", None),
    ],
)
def test_when_a_service_wants_to_be_asked_again(header: str | None, wait_s: float | None) -> None:
    assert retry_after_s(header, NOW) == wait_s


@given(st.text(max_size=60))
def test_no_header_makes_the_wait_anything_but_bounded(header: str) -> None:
    wait_s = retry_after_s(header, NOW)
    assert wait_s is None or 1 <= wait_s <= 900


@given(st.binary(max_size=2_000), st.integers(1, 300))
def test_a_body_comes_out_as_it_went_in_however_it_was_cut(content: bytes, size: int) -> None:
    packed = gzip.compress(content)
    for encoding, sent in (("", content), ("gzip", packed), ("x-gzip", packed + packed)):
        body = BoundedBody(encoding, limit=4_000)
        for start in range(0, len(sent), size):
            body.feed(sent[start : start + size])
        assert body.whole() == (content if encoding != "x-gzip" else content + content)


def test_a_body_is_as_large_as_its_bound_and_no_larger() -> None:
    for encoding, sent in (("", bytes(1_000)), ("gzip", gzip.compress(bytes(1_000)))):
        whole = BoundedBody(encoding, limit=1_000)
        whole.feed(sent)
        assert len(whole.whole()) == 1_000
        with pytest.raises(HttpRefused, match="larger than 999B"):
            BoundedBody(encoding, limit=999).feed(sent)


def test_what_is_no_gzip_or_half_of_one_may_be_asked_for_again() -> None:
    with pytest.raises(HttpUnavailable, match="is not"):
        BoundedBody("gzip", limit=99).feed(b"plain text")
    half = BoundedBody("gzip", limit=99)
    half.feed(gzip.compress(b"x" * 50)[:-6])
    with pytest.raises(HttpUnavailable, match="in the middle"):
        half.whole()


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "zstd", "gzip\x00"])
def test_an_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(HttpRefused, match="not asked for"):
        BoundedBody(encoding, limit=99)


@pytest.mark.parametrize(
    ("content", "content_type", "text"),
    [
        (b'{"a": 1}', "application/json", '{"a": 1}'),
        (b"\xef\xbb\xbf{}", "application/json; charset=utf-8", "{}"),
        ("é".encode("latin-1"), "text/html; charset=ISO-8859-1", "é"),
        ("é".encode(), "text/plain", "é"),
        (b"<a/>", "application/atom+xml", "<a/>"),
        (b"plain", "", "plain"),
    ],
)
def test_text_is_kept_as_text(content: bytes, content_type: str, text: str) -> None:
    assert body_fields(content, content_type) == {"text": text}


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"\x89PNG", "image/png"),
        (b"\xff\xfe", "text/plain"),
        (b"x", "text/plain; charset=nonsense"),
        (b"\xff", ""),
    ],
)
def test_other_bytes_are_kept_as_they_are(content: bytes, content_type: str) -> None:
    fields = body_fields(content, content_type)
    assert fields == {"base64": base64.b64encode(content).decode()}
    assert HttpAnswer(status=200, url="u", headers={}, **fields).content == content


def test_an_answer_is_parsed_as_a_type() -> None:
    answer = HttpAnswer(status=200, url="u", headers={}, text='[{"n": "7"}]')
    assert answer.parse() == [{"n": "7"}]
    assert answer.parse(list[dict[str, int]]) == [{"n": 7}]
