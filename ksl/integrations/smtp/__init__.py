"""Mail as a step.

`send_mail` sends through the server that the credential `smtp` names. `send` is for actions of one's own, with
another credential.
"""

from ksl.integrations.smtp.actions import send_mail, smtp
from ksl.integrations.smtp.errors import MailError, MailRefused, MailUnavailable
from ksl.integrations.smtp.mail import Attachment, Mail, Sent
from ksl.integrations.smtp.sending import RETRY, send
from ksl.integrations.smtp.server import SmtpServer

__all__ = [
    "RETRY",
    "Attachment",
    "Mail",
    "MailError",
    "MailRefused",
    "MailUnavailable",
    "Sent",
    "SmtpServer",
    "send",
    "send_mail",
    "smtp",
]
