"""A mail is written as asked or not at all."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ksl.integrations.smtp.errors import MailRefused
from ksl.integrations.smtp.mail import Attachment, Letter, Mail, letter
from ksl.integrations.smtp.server import SmtpServer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def written(key: str = "r1/send#0", **fields: Any) -> Letter:
    usual: dict[str, Any] = {"to": ["ada@example.org"], "subject": "Tea?"}
    mail = Mail(**{**usual, **fields})
    return letter(mail, sender="ksl@example.com", key=key, now=NOW)


def read(one: Letter) -> EmailMessage:
    return email.message_from_bytes(one.data, policy=email.policy.default)


def test_a_plain_mail_has_its_headers_and_its_text() -> None:
    message = read(
        written(text="At four?\nBring cake: é", cc=["Bob <bob@example.org>"], reply_to=["x@example.com"])
    )
    assert {name.lower() for name in message} >= {
        "message-id",
        "date",
        "from",
        "to",
        "cc",
        "reply-to",
        "subject",
    }
    assert (message["From"], message["To"], message["Cc"]) == (
        "ksl@example.com",
        "ada@example.org",
        "Bob <bob@example.org>",
    )
    assert message["Date"].datetime == NOW
    assert message.get_content_type() == "text/plain"
    assert message.get_content() == "At four?\r\nBring cake: é\r\n"


def test_text_html_and_files_stand_side_by_side() -> None:
    files = [
        Attachment.of("report.csv", "a,b\n"),
        Attachment.of("tür.png", b"\x89PNG\r\n"),
        Attachment.of("x", b"\x00", media_type="application/x-own"),
    ]
    message = read(written(text="plain", html="<b>rich</b>", attachments=files))
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert rich is not None
    assert (plain.get_content(), rich.get_content()) == ("plain\r\n", "<b>rich</b>\r\n")
    got = [
        (part.get_filename(), part.get_content_type(), part.get_content())
        for part in message.iter_attachments()
    ]
    assert got == [
        ("report.csv", "text/csv", "a,b\n"),
        ("tür.png", "image/png", b"\x89PNG\r\n"),
        ("x", "application/x-own", b"\x00"),
    ]
    assert read(written(html="<b>only</b>")).get_content_type() == "text/html"


def test_the_message_id_is_the_step_s() -> None:
    first, again, other = written("r1/send#0"), written("r1/send#0", text="x"), written("r1/send#1")
    assert first.message_id == again.message_id == read(first)["Message-ID"]
    assert first.message_id != other.message_id
    assert first.message_id.endswith("@example.com>")
    answer = read(written(in_reply_to=first.message_id))
    assert (answer["In-Reply-To"], answer["References"]) == (first.message_id, first.message_id)


def test_who_is_in_bcc_is_in_the_envelope_and_nowhere_in_the_message() -> None:
    one = written(cc=["bob@example.org"], bcc=["Secret <carol@example.org>", "ada@example.org"])
    assert one.recipients == ["ada@example.org", "bob@example.org", "carol@example.org"]
    assert b"carol" not in one.data


def test_names_and_domains_may_be_of_any_language() -> None:
    one = written(
        to=["Zoë Müller <zoe@müller.example>", '"Doe, John" <john@example.org>'], subject="Grüße 👩\u200d💻"
    )
    assert one.recipients == ["zoe@xn--mller-kva.example", "john@example.org"]
    message = read(one)
    assert [address.display_name for address in message["To"].addresses] == ["Zoë Müller", "Doe, John"]
    assert message["Subject"] == "Grüße 👩\u200d💻"
    assert one.data.isascii()


BREAKS = ["\r\n", "\n", "\r", "\x00", "\u2028", "\x0b", "\x7f", "\x85", "\ud800"]


@pytest.mark.parametrize("line_break", BREAKS, ids=repr)
@pytest.mark.parametrize(
    "field",
    ["subject", "to", "cc", "bcc", "sender", "reply_to", "in_reply_to", "name", "attachment", "media_type"],
)
def test_a_line_break_in_a_header_is_refused(field: str, line_break: str) -> None:
    evil = f"ada@example.org{line_break}Bcc: eve@example.org"
    fields: dict[str, Any] = {
        "subject": {"subject": f"Tea{line_break}Bcc: eve@example.org"},
        "name": {"to": [f"Ada{line_break}Bcc: eve@example.org <ada@example.org>"]},
        "sender": {"sender": evil},
        "in_reply_to": {"in_reply_to": f"<a@b>{line_break}X: y"},
        "attachment": {"attachments": [Attachment.of(f"a{line_break}X: y", b"")]},
        "media_type": {"attachments": [Attachment.of("a", b"", media_type=f"text/plain{line_break}X: y")]},
    }.get(field, {field: [evil]})
    with pytest.raises(MailRefused, match="Nothing was sent"):
        written(**fields)


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80))
def test_whatever_is_written_adds_no_header(subject: str, name: str, file: str) -> None:
    try:
        one = written(
            subject=subject, to=[f"{name} <ada@example.org>"], attachments=[Attachment.of(file, b"x")]
        )
    except MailRefused:
        return
    message = read(one)
    usual = {"message-id", "date", "from", "to", "subject", "mime-version", "content-type"}
    assert {header.lower() for header in message} == usual
    assert len(message.keys()) == len(usual)
    assert one.recipients == ["ada@example.org"]


@given(st.text(max_size=200), st.binary(max_size=200))
def test_no_line_ends_in_a_way_that_servers_could_read_differently(text: str, file: bytes) -> None:
    # "\n.\r\n" ends a mail for some servers and not for others: what follows would be another mail
    for body in (text, f"{text}\n.\r\nMAIL FROM:<eve@example.org>\r.\r{text}"):
        one = written(text=body, html=body, attachments=[Attachment.of("a.txt", file)])
        lines = one.data.split(b"\r\n")
        assert not any(b"\r" in line or b"\n" in line for line in lines)
        assert max(map(len, lines)) <= 998
        assert one.data.isascii()


NO_ADDRESSES = [
    *(
        "",
        "ada",
        "@example.org",
        "ada@",
        "a da@example.org",
        "ada@exam ple.org",
        "ada@example..org",
        ".a@b.org",
    ),
    *(
        "a..b@example.org",
        "a@b@c",
        "a@example.org, b@example.org",
        "a@example.org;b@example.org",
        "<a@b",
        "a@b>",
    ),
    *("x: a@example.org;", "A <a@b> <c@d>", "ada@[127.0.0.1]", "é@example.org", "a" * 65 + "@example.org"),
    *("a@" + "b" * 64 + ".org", "-" * 3),
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_refused(address: str) -> None:
    for field in ("to", "cc", "bcc", "reply_to"):
        fields: dict[str, Any] = {field: [address]}
        with pytest.raises(MailRefused):
            written(**fields)


def test_bounds_hold() -> None:
    with pytest.raises(MailRefused, match="needs somebody"):
        written(to=[])
    with pytest.raises(MailRefused, match="101 recipients"):
        written(bcc=[f"u{n}@example.org" for n in range(100)])
    with pytest.raises(MailRefused, match="more than 20MiB"):
        written(attachments=[Attachment.of("big.bin", bytes(16 << 20))])
    with pytest.raises(MailRefused, match="more than 50"):
        written(attachments=[Attachment.of("a", b"")] * 51)
    with pytest.raises(MailRefused, match="not base64"):
        written(attachments=[Attachment(name="a", base64="~")])
    for media_type in ("message/rfc822", "multipart/mixed", "text", "text/plain; charset=x", ""):
        with pytest.raises(MailRefused, match="no media type"):
            written(attachments=[Attachment.of("a", b"x", media_type=media_type or "/")])


def test_a_password_does_not_go_over_an_open_line() -> None:
    with pytest.raises(ValidationError, match="everybody on the way"):
        SmtpServer.model_validate(
            {"host": "mail.example", "security": "none", "username": "a", "password": "p"}
        )
    assert (
        SmtpServer.model_validate({"host": "localhost", "security": "none", "username": "a"}).chosen_port
        == 25
    )
    ports = [SmtpServer(host="h").chosen_port, SmtpServer(host="h", security="tls").chosen_port]
    assert ports == [587, 465]
    assert SmtpServer.model_validate({"host": "h", "port": "2525"}).chosen_port == 2525
