"""Mail through a real server on loopback."""

from __future__ import annotations

import asyncio
import smtplib
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ksl import ActionContext, Context, Credentials, workflow
from ksl.integrations.smtp import (
    Attachment,
    Mail,
    MailRefused,
    MailUnavailable,
    Sent,
    SmtpServer,
    send,
    send_mail,
    sending,
    smtp,
)
from ksl.testing import environment

from tests.integration.integrations.certificates import certificate
from tests.integration.integrations.mailbox import Mailbox, mailbox

MAIL = Mail(to=["ada@example.org"], subject="Tea?", text="At four?")


def server(box: Mailbox, **fields: Any) -> SmtpServer:
    defaults = {"host": box.host, "port": box.port, "security": "none", "sender": "ksl@example.com"}
    return SmtpServer.model_validate({**defaults, **fields})


async def sent(one: SmtpServer, mail: Mail = MAIL, *, key: str = "r1/send#0") -> Sent:
    return await asyncio.to_thread(send, one, mail, key=key)


async def test_a_mail_arrives_whole() -> None:
    mail = MAIL.model_copy(
        update={
            "html": "<p>At four?</p>",
            "bcc": ["carol@example.org"],
            "text": "At four?\n.\n.. dots and é",
            "attachments": [Attachment.of("a.bin", bytes(range(256)) * 40)],
        }
    )
    async with mailbox() as box:
        result = await sent(server(box), mail)
        (got,) = box.received
    assert (got.sender, got.recipients) == ("ksl@example.com", ["ada@example.org", "carol@example.org"])
    assert result == Sent(message_id=got.message["Message-ID"], accepted=got.recipients)
    body = got.message.get_body(("plain",))
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == "At four?\n.\n.. dots and é\n"
    (file,) = got.message.iter_attachments()
    assert file.get_content() == bytes(range(256)) * 40
    assert b"carol" not in got.raw


# --- TLS and login ----------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mail_and_login_go_over_an_encrypted_line(tmp_path: Path, security: str) -> None:
    paper = certificate(tmp_path, "localhost")
    context = paper.server_context()
    options: dict[str, Any] = {"starttls" if security == "starttls" else "tls": context}
    async with mailbox(login=True, **options) as box:
        login = {"username": "ada", "password": "s3cret"}
        one = server(box, host="localhost", security=security, ca_file=str(paper.file), **login)
        await sent(one)
        (got,) = box.received
        assert (got.encrypted or security == "tls", got.login) == (True, "ada")
        with pytest.raises(MailUnavailable, match="certificate verify failed"):
            await sent(one.model_copy(update={"ca_file": ""}))
        with pytest.raises(MailUnavailable, match="certificate verify failed"):
            await sent(one.model_copy(update={"host": "127.0.0.1"}))
        with pytest.raises(MailRefused, match="535") as error:
            await sent(one.model_copy(update={"password": SecretStr("canary")}))
        assert "canary" not in str(error.value)
        assert len(box.received) == 1


async def test_certificates_that_are_not_there_are_told_before_anything_is_sent(tmp_path: Path) -> None:
    async with mailbox() as box:
        for security in ("starttls", "tls"):
            with pytest.raises(MailRefused, match="holds no certificates"):
                await sent(server(box, security=security, ca_file=str(tmp_path / "none.pem")))
        assert box.received == []


async def test_a_server_without_starttls_gets_nothing() -> None:
    async with mailbox(login=True) as box:
        with pytest.raises(MailRefused, match="STARTTLS"):
            await sent(server(box, security="starttls", username="ada", password="s3cret"))
        with pytest.raises(MailRefused, match="530"):
            await sent(server(box))
        await sent(server(box, username="ada", password="s3cret"))
        assert [got.login for got in box.received] == ["ada"]


# --- what a server answers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "answer", "kind"),
    [
        ("data", "452 Try later", MailUnavailable),
        ("data", "421 Going down", MailUnavailable),
        ("data", "554 Looks like spam", MailRefused),
        ("ada@example.org", "450 Greylisted", MailUnavailable),
        ("ada@example.org", "550 Nobody here", MailRefused),
    ],
)
async def test_4_means_later_and_5_means_no(at: str, answer: str, kind: type[Exception]) -> None:
    async with mailbox() as box:
        box.answers[at] = [answer]
        with pytest.raises(kind, match=answer[:3] + ".*" + answer.rsplit(maxsplit=1)[-1]):
            await sent(server(box))
        assert box.received == []
        await sent(server(box))
        assert len(box.received) == 1


async def test_who_was_not_taken_is_told_while_the_others_get_the_mail() -> None:
    async with mailbox() as box:
        box.answers["bob@example.org"] = ["550 Nobody here"]
        result = await sent(server(box), MAIL.model_copy(update={"cc": ["bob@example.org"]}))
        assert result.accepted == ["ada@example.org"] == box.received[0].recipients
        assert result.refused == {"bob@example.org": "550 Nobody here"}


async def test_no_server_and_one_that_says_something_else_are_worth_another_attempt() -> None:
    async with mailbox() as box:
        pass
    with pytest.raises(MailUnavailable):
        await sent(server(box))

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-other\r\n")
        writer.close()

    other = await asyncio.start_server(talk, "127.0.0.1", 0)
    box.port = other.sockets[0].getsockname()[1]
    with pytest.raises(MailUnavailable):
        await sent(server(box))
    other.close()
    await other.wait_closed()


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "WAIT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        box = Mailbox(port=silent.getsockname()[1])
        with pytest.raises(MailUnavailable, match="timed out"):
            await sent(server(box))


async def test_an_attempt_whose_answer_was_lost_sends_the_same_message_id_again() -> None:
    async with mailbox() as box:
        box.hangs_up_after_data = True
        with pytest.raises(MailUnavailable):
            await sent(server(box))
        box.hangs_up_after_data = False
        await sent(server(box))
        first, second = box.received
        assert first.message["Message-ID"] == second.message["Message-ID"]


async def test_a_bad_goodbye_does_not_make_a_failure_of_a_mail_that_was_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def rude(_smtp: smtplib.SMTP) -> None:
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr(smtplib.SMTP, "quit", rude)
    async with mailbox() as box:
        assert (await sent(server(box))).accepted == ["ada@example.org"]


async def test_a_mail_without_a_sender_is_refused_before_anything_is_sent() -> None:
    async with mailbox() as box:
        with pytest.raises(MailRefused, match="names a sender"):
            await sent(server(box, sender=""))
        await sent(server(box, sender=""), MAIL.model_copy(update={"sender": "Me <me@example.com>"}))
        assert box.received[0].sender == "me@example.com"


# --- as a step --------------------------------------------------------------------------------------


@workflow
async def inviting(input: str, ctx: Context) -> str:
    done = await send_mail.run(to=[input], subject="Tea?", text="At four?")
    return done.message_id


async def test_the_ready_action_uses_the_credential_and_the_step_s_key() -> None:
    async with mailbox() as box:
        ctx = ActionContext(idempotency_key="r1/send-mail#0", credentials=Credentials({smtp: server(box)}))
        call = send_mail.function
        done = await asyncio.to_thread(call, ctx, to=["ada@example.org"], subject="Tea?", text="At four?")
        assert box.received[0].message["Message-ID"] == done.message_id
        again = await asyncio.to_thread(call, ctx, to=["ada@example.org"], subject="Tea?", text="At four?")
        assert again.message_id == done.message_id


async def test_a_step_is_tried_again_with_the_same_message_id_until_the_server_takes_it() -> None:
    async with mailbox() as box:
        box.answers["ada@example.org"] = ["450 Greylisted", "450 Greylisted"]
        async with environment() as env:
            env.credentials(smtp, server(box))
            run = await env.start(inviting, "ada@example.org")
            message_id = await run.result()
            assert [event.type for event in run.events].count("step_retrying") == 2
        (got,) = box.received
        assert got.message["Message-ID"] == message_id
