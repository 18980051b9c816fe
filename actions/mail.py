"""Mail as files: an `outbox` of written letters and an `inbox` of replies, in a folder of choice."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

from pydantic import BaseModel

from ksl import ActionContext, action

from actions.files import inside, write_whole


class Letter(BaseModel):
    id: str  # its Message-ID
    path: str  # absolute


class Reply(BaseModel):
    sender: str
    text: str


@action
def write_letter(ctx: ActionContext, folder: str, to: str, subject: str, text: str) -> Letter:
    """Puts a letter into the outbox. A second attempt at the step writes the same letter, not another."""
    # The key is equal on every attempt at this step, so the file name and the Message-ID are too.
    name = "".join(letter for letter in ctx.idempotency_key if letter.isalnum())
    message = EmailMessage()
    message["Message-ID"] = f"<{name}@ksl.invalid>"
    message["From"] = "ksl@ksl.invalid"
    message["To"] = to
    message["Subject"] = subject
    message.set_content(text)
    path = inside(Path(folder) / "outbox", f"{name}.eml")
    write_whole(path, message.as_bytes())
    return Letter(id=str(message["Message-ID"]), path=str(path))


@action
def find_reply(folder: str, letter_id: str) -> Reply | None:
    """The reply to a letter, if the inbox holds one by now: an .eml file that names it in In-Reply-To."""
    for path in sorted((Path(folder).expanduser() / "inbox").glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if str(message.get("In-Reply-To", "")).strip() == letter_id:
            body = message.get_body(("plain",))
            return Reply(
                sender=str(message.get("From", "")), text=str(body.get_content()).strip() if body else ""
            )
    return None
