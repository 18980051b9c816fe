from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksl.vault.forms import LENGTH_MIN, forms
from ksl.vault.redactor import Redactor

SECRETS = [
    "s3cr3t-canary-0001",
    'quo"te\\and/slash&<amp>',
    "ünï cödé ✓ %25+~",
    "new\nline\ttab-secret",
    "a=b?c=d&e#f",
]


def redactor(secret: str) -> Redactor:
    made = Redactor()
    assert made.learn("slack", secret)
    return made


@pytest.mark.parametrize("secret", SECRETS)
def test_every_usual_way_of_writing_a_secret_is_masked(secret: str) -> None:
    data = secret.encode()
    written = [
        secret,
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        json.dumps(json.dumps({"inner": secret})),
        json.dumps(secret).replace("/", "\\/"),
        quote(secret),
        quote(secret, safe=""),
        quote(secret, safe="").lower(),
        quote_plus(secret),
        html.escape(secret),
        data.hex(),
        data.hex().upper(),
        repr(secret),
    ]
    if secret != secret.lower():
        written.remove(quote(secret, safe="").lower())
    for text in written:
        masked = redactor(secret).text(f"before {text} after")
        assert "[redacted:slack]" in masked, text
        assert masked.startswith("before "), masked
        assert masked.endswith(" after"), masked


@given(
    secret=st.text(min_size=LENGTH_MIN, max_size=40),
    before=st.binary(max_size=7),
    after=st.binary(max_size=7),
)
@settings(deadline=None)
def test_a_secret_within_base64_is_masked_wherever_it_begins(
    secret: str, before: bytes, after: bytes
) -> None:
    secret.encode("utf-8", "surrogatepass")
    data = before + secret.encode("utf-8", "surrogatepass") + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(data).decode()
        assert "[redacted:slack]" in redactor(secret).text(text)


def test_basic_authorization_is_masked_with_the_user_in_front() -> None:
    text = "Basic " + base64.b64encode(b"ada:correct-horse-battery").decode()
    assert "[redacted:slack]" in redactor("correct-horse-battery").text(text)


def test_a_short_secret_is_not_masked_and_says_so() -> None:
    short = Redactor()
    assert not short.learn("pin", "12345")
    assert not short.active
    assert short.text("12345") == "12345"
    assert forms("12345") == ()


def test_nothing_is_looked_for_while_nothing_is_known() -> None:
    data = b'{"a":1}'
    assert Redactor().json(data) is data
    assert redactor("s3cr3t-canary").json(data) is data


def test_masked_json_stays_json() -> None:
    made = redactor("987654321")
    made.learn("crm", 'to"ken\\1')
    value = {
        "n": 987654321,
        "f": 1.5,
        "list": [9876543210.5, 'a to"ken\\1 b'],
        'to"ken\\1': True,
        "none": None,
    }

    masked = json.loads(made.json(json.dumps(value).encode()))

    assert masked == {
        "n": "[redacted:slack]",
        "f": 1.5,
        "list": ["[redacted:slack]0.5", "a [redacted:crm] b"],
        "[redacted:crm]": True,
        "none": None,
    }


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    made = redactor("token-1")
    made.learn("crm", "token-123456")
    assert made.text("x token-123456 token-1 x") == "x [redacted:crm] [redacted:slack] x"
