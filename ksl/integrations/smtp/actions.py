"""A ready action on a credential of a fixed name."""

from __future__ import annotations

from ksl import ActionContext, Credential, action
from ksl.integrations.smtp.mail import Attachment, Mail, Sent
from ksl.integrations.smtp.sending import RETRY, send
from ksl.integrations.smtp.server import SmtpServer

smtp = Credential("smtp", fields=SmtpServer, description="the server that takes mail")


@action(retry=RETRY, timeout="10m", credentials=[smtp])
def send_mail(
    ctx: ActionContext,
    to: list[str],
    subject: str,
    text: str = "",
    html: str | None = None,
    cc: list[str] | None = None,
    bcc: list[str] | None = None,
    sender: str | None = None,
    reply_to: list[str] | None = None,
    in_reply_to: str | None = None,
    attachments: list[Attachment] | None = None,
) -> Sent:
    """Sends a mail through the server of the credential `smtp`. An attempt that is repeated sends the same
    `Message-ID`."""
    mail = Mail(
        to=to,
        subject=subject,
        text=text,
        html=html,
        cc=cc or [],
        bcc=bcc or [],
        sender=sender,
        reply_to=reply_to or [],
        in_reply_to=in_reply_to,
        attachments=attachments or [],
    )
    return send(ctx.credentials[smtp], mail, key=ctx.idempotency_key)
