"""A real SMTP server on loopback that keeps what it gets and refuses what a test says."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Received:
    sender: str
    recipients: list[str]
    message: EmailMessage
    raw: bytes
    encrypted: bool
    login: str | None


@dataclass
class Mailbox:
    """`answers` has what RCPT gets by recipient, and what DATA gets under "data", until it is used up."""

    port: int = 0
    host: str = "127.0.0.1"
    received: list[Received] = field(default_factory=list[Received])
    answers: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    hangs_up_after_data: bool = False

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = self._next(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = self._next("data", "250 Taken")
        if answer.startswith("250"):
            raw = cast("bytes", envelope.content)
            login = cast("LoginPassword | None", session.auth_data)
            self.received.append(
                Received(
                    sender=cast("str", envelope.mail_from),
                    recipients=list(envelope.rcpt_tos),
                    message=email.message_from_bytes(raw, policy=email.policy.default),
                    raw=raw,
                    encrypted=session.ssl is not None,
                    login=login.login.decode() if login else None,
                )
            )
        if self.hangs_up_after_data:
            assert server.transport is not None
            server.transport.close()
        return answer

    def _next(self, what: str, usual: str) -> str:
        waiting = self.answers.get(what, [])
        return waiting.pop(0) if waiting else usual


def only_ada(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"ada", b"s3cret")
    return AuthResult(success=right, handled=False, auth_data=data)


@asynccontextmanager
async def mailbox(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, login: bool = False
) -> AsyncGenerator[Mailbox]:
    loop = asyncio.get_running_loop()
    box = Mailbox()

    def connected() -> SMTP:
        with warnings.catch_warnings():
            # that a login without TLS is a weakness, which is what some tests are about
            warnings.simplefilter("ignore", UserWarning)
            return protocol()

    def protocol() -> SMTP:
        return SMTP(
            box,
            hostname="mail.example",
            loop=loop,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=only_ada if login else None,
            auth_required=login,
            auth_require_tls=False,
        )

    server = await loop.create_server(connected, box.host, 0, ssl=tls)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()
