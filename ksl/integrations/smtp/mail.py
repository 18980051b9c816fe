"""A mail as a value, and as the bytes that are sent."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from mimetypes import guess_type

from pydantic import BaseModel

from ksl.define.duration import format_size
from ksl.integrations.smtp.errors import MailRefused

RECIPIENTS_MAX = 100
ATTACHMENTS_MAX = 50
SIZE_MAX = 20 << 20  # bytes of the whole, encoded; many servers refuse more than 25 MB
LINE_MAX = 900  # characters of a subject or a name; a header's line may hold 998 bytes

_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")
_LOCAL = re.compile(r"(?=.{1,64}$)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"(?=.{1,253}$)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*")


class Attachment(BaseModel):
    """A file in a mail. `Attachment.of("report.csv", rows)` makes one of bytes or text."""

    name: str
    base64: str
    media_type: str | None = None  # None: told by the name

    @classmethod
    def of(cls, name: str, content: bytes | str, *, media_type: str | None = None) -> Attachment:
        data = content.encode() if isinstance(content, str) else content
        return cls(name=name, base64=base64.b64encode(data).decode(), media_type=media_type)


class Mail(BaseModel):
    """Addresses are "ada@example.org" or "Ada Lovelace <ada@example.org>". With `text` and `html` the reader's
    program chooses. `in_reply_to` is the `Message-ID` of the mail that this one answers."""

    to: list[str]
    subject: str
    text: str = ""
    html: str | None = None
    cc: list[str] = []
    bcc: list[str] = []
    sender: str | None = None
    reply_to: list[str] = []
    in_reply_to: str | None = None
    attachments: list[Attachment] = []


class Sent(BaseModel):
    """`message_id` is equal on every attempt of a step. `refused` has the server's words for each recipient that it
    did not take, while it took the mail for the others."""

    message_id: str
    accepted: list[str]
    refused: dict[str, str] = {}


class Letter(BaseModel):
    """What goes to the server: the envelope and the message."""

    message_id: str
    sender: str
    recipients: list[str]
    data: bytes


def letter(mail: Mail, *, sender: str, key: str, now: datetime) -> Letter:
    """Errors: MailRefused for what cannot be written as a mail, line breaks in a header above all."""
    if not mail.to:
        raise MailRefused("a mail needs somebody in `to`. Nothing was sent.")
    origin = _address(mail.sender or sender, "sender")
    # 7bit: not every server takes more, and none has to be asked whether it does
    message = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
    # The same step has the same key on every attempt: whoever gets the mail twice can tell.
    message_id = f"<{sha256(key.encode()).hexdigest()[:32]}@{origin.domain}>"
    message["Message-ID"] = message_id
    message["Date"] = format_datetime(now)
    message["From"] = origin
    envelope: dict[str, None] = {}
    for field, texts in (("To", mail.to), ("Cc", mail.cc), ("Bcc", mail.bcc), ("Reply-To", mail.reply_to)):
        addresses = [_address(text, field) for text in texts]
        if field != "Reply-To":
            envelope.update(dict.fromkeys(each.addr_spec for each in addresses))
        if addresses and field != "Bcc":
            message[field] = addresses
    if len(envelope) > RECIPIENTS_MAX:
        raise MailRefused(f"{len(envelope)} recipients are more than {RECIPIENTS_MAX}. Nothing was sent.")
    message["Subject"] = _line(mail.subject, "subject")
    if mail.in_reply_to is not None:
        if _MESSAGE_ID.fullmatch(mail.in_reply_to) is None:
            raise MailRefused(f"in_reply_to={mail.in_reply_to[:80]!r} is no Message-ID. Nothing was sent.")
        message["In-Reply-To"] = message["References"] = mail.in_reply_to
    _fill(message, mail)
    data = message.as_bytes()
    if len(data) > SIZE_MAX:
        raise MailRefused(
            f"the mail is {format_size(len(data))}, more than {format_size(SIZE_MAX)}. Nothing was sent. Put large "
            "files where they can be fetched, and send the link."
        )
    return Letter(message_id=message_id, sender=origin.addr_spec, recipients=list(envelope), data=data)


def _fill(message: EmailMessage, mail: Mail) -> None:
    try:
        if mail.text or mail.html is None:
            message.set_content(mail.text)
            if mail.html is not None:
                message.add_alternative(mail.html, subtype="html")
        else:
            message.set_content(mail.html, subtype="html")
    except UnicodeEncodeError:
        raise MailRefused("the text holds half a surrogate pair. Nothing was sent.") from None
    if len(mail.attachments) > ATTACHMENTS_MAX:
        raise MailRefused(f"more than {ATTACHMENTS_MAX} attachments. Nothing was sent.")
    for each in mail.attachments:
        name = _line(each.name, "attachment's name")
        media_type = each.media_type or guess_type(name)[0] or "application/octet-stream"
        if _MEDIA_TYPE.fullmatch(media_type) is None or media_type.startswith(("multipart/", "message/")):
            raise MailRefused(f"{media_type[:80]!r} is no media type of a file. Nothing was sent.")
        try:
            content = base64.b64decode(each.base64, validate=True)
        except (binascii.Error, ValueError):
            raise MailRefused(f"the attachment {name!r} is not base64. Nothing was sent.") from None
        maintype, _, subtype = media_type.partition("/")
        message.add_attachment(content, maintype=maintype, subtype=subtype, filename=name)


def _address(text: str, field: str) -> Address:
    named = _NAMED.fullmatch(_line(text, field).strip())
    name, bare = (named["name"], named["address"]) if named else ("", text)
    local, _, domain = bare.strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        domain = ""
    if _LOCAL.fullmatch(local) is None or _DOMAIN.fullmatch(domain) is None:
        raise MailRefused(f"{field}: {text[:120]!r} is no mail address. Nothing was sent.")
    return Address(display_name=name.strip().strip('"').strip(), addr_spec=f"{local}@{domain}")


def _line(text: str, what: str) -> str:
    """One line of a header. A line break in it would begin another header, or the body."""
    if (
        any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text)
        or len(text) > LINE_MAX
    ):
        raise MailRefused(
            f"the {what} is not one line of at most {LINE_MAX} characters without control characters. Nothing was sent."
        )
    return text
