"""One conversation with a server.

By smtplib in the thread of a plain action: it is in every Python, and a conversation is short and waits for one
peer at a time, so an event loop would gain nothing. Each wait is bounded by `WAIT_S`.
"""

from __future__ import annotations

import platform
import re
import smtplib
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

from ksl import Retry
from ksl.integrations.smtp.errors import MailError, MailRefused, MailUnavailable
from ksl.integrations.smtp.mail import Letter, Mail, Sent, letter
from ksl.integrations.smtp.server import SmtpServer

WAIT_S = 30.0  # for a connection, and for each answer

# A server that keeps strangers waiting (greylisting) wants to be asked again after minutes.
RETRY = Retry(attempts=5, initial="10s", factor=4.0, maximum="10m", on=(MailUnavailable,))

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_TOLD_MAX = 300


def send(server: SmtpServer, mail: Mail, *, key: str) -> Sent:
    """Hands the mail to the server. `key` is the step's idempotency key: it becomes the `Message-ID`.

    Blocks; for plain `def` actions. Errors: MailRefused, MailUnavailable.
    """
    if not (mail.sender or server.sender):
        raise MailRefused("neither the mail nor the server's credential names a sender. Nothing was sent.")
    made = letter(mail, sender=server.sender, key=key, now=datetime.now(UTC))
    where = f"{server.host}:{server.chosen_port}"
    try:
        with _conversation(server) as smtp:
            refused = smtp.sendmail(made.sender, made.recipients, made.data)
    except smtplib.SMTPRecipientsRefused as error:
        raise _all_refused(error, where) from None
    except smtplib.SMTPResponseException as error:
        raise _answered(error.smtp_code, error.smtp_error, where) from None
    except smtplib.SMTPNotSupportedError as error:
        raise MailRefused(f"{where}: {error}") from None
    except (smtplib.SMTPException, OSError) as error:
        raise MailUnavailable(f"{where}: {str(error) or type(error).__name__}") from None
    return _sent(made, refused)


@contextmanager
def _conversation(server: SmtpServer) -> Generator[smtplib.SMTP]:
    host, port, name = server.host, server.chosen_port, _own_name()
    if server.security == "tls":
        smtp = smtplib.SMTP_SSL(host, port, name, timeout=WAIT_S, context=_trust(server))
    else:
        smtp = smtplib.SMTP(host, port, name, timeout=WAIT_S)
    try:
        if server.security == "starttls":
            smtp.starttls(context=_trust(server))
        if server.username:
            smtp.login(server.username, server.password.get_secret_value())
        yield smtp
        # The mail is taken by now. That the server hangs up badly must not make it a failure: the next attempt
        # would send it again.
        try:
            smtp.quit()
        except (smtplib.SMTPException, OSError):
            pass
    finally:
        smtp.close()


def _trust(server: SmtpServer) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=server.ca_file or None)
    except OSError as error:
        raise MailRefused(
            f"ca_file={server.ca_file!r} holds no certificates: {error.strerror or error}. Nothing was sent."
        ) from None


def _own_name() -> str:
    # smtplib would ask the network for a full name, which can take long where there is none
    name = platform.node()
    return name if _HOST.fullmatch(name) else "localhost"


def _sent(made: Letter, refused: dict[str, tuple[int, bytes]]) -> Sent:
    return Sent(
        message_id=made.message_id,
        accepted=[each for each in made.recipients if each not in refused],
        refused={address: _words(*answer) for address, answer in refused.items()},
    )


def _all_refused(error: smtplib.SMTPRecipientsRefused, where: str) -> MailError:
    answers: dict[str, tuple[int, bytes]] = error.recipients
    told = "; ".join(f"{address}: {_words(*answer)}" for address, answer in list(answers.items())[:5])
    later = any(code < 500 for code, _ in answers.values())
    return (MailUnavailable if later else MailRefused)(f"{where} took no recipient: {told}")


def _answered(code: int, words: bytes | str, where: str) -> MailError:
    told = f"{where} answered {_words(code, words)}"
    return MailRefused(told) if 500 <= code < 600 else MailUnavailable(told)


def _words(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {' '.join(text.split())}"[:_TOLD_MAX].strip()
