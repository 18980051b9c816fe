"""A signed delivery of the help desk starts a triage, and the same one again starts none."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest

from ksl.errors import DeliveryUnverified
from ksl.testing import environment
from ksl.trigger.receiving import Arrived

from tests.examples.engine import engine_on
from triggers.tickets import tickets
from workflows.llm_triage import llm_triage

KEY = b"k" * 32
NEW = {"event": "ticket.created", "sender": "ada@example.org", "subject": "Help", "text": "How do I sign in?"}


def delivery(payload: object, *, at_s: int, key: bytes = KEY, delivery_id: str = "msg_1") -> Arrived:
    body = json.dumps(payload).encode()
    signed = hmac.digest(key, f"{delivery_id}.{at_s}.".encode() + body, hashlib.sha256)
    headers = [
        ("Webhook-Id", delivery_id),
        ("Webhook-Timestamp", str(at_s)),
        ("Webhook-Signature", f"v1,{base64.b64encode(signed).decode()}"),
    ]
    return Arrived(headers, [], body, body)


async def test_a_new_ticket_is_taken_where_it_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_DESK", str(tmp_path / "desk"))
    monkeypatch.setenv("KSL_HOME", str(tmp_path / "home"))
    async with engine_on(tmp_path) as engine:
        runtime = engine.runtime
        assert runtime.vault is not None
        secret = "whsec_" + base64.b64encode(KEY).decode()
        await runtime.vault.set("help-desk", {"secret": secret})
        at_s = runtime.engine.clock.now_ms() // 1000

        first = await runtime.webhooks.receive("tickets", delivery(NEW, at_s=at_s))
        again = await runtime.webhooks.receive("tickets", delivery(NEW, at_s=at_s))
        with pytest.raises(DeliveryUnverified):
            await runtime.webhooks.receive("tickets", delivery(NEW, at_s=at_s, key=b"x" * 32))
        closed = NEW | {"event": "ticket.closed"}
        skipped = await runtime.webhooks.receive("tickets", delivery(closed, at_s=at_s, delivery_id="msg_2"))

        assert first == again
        assert skipped.skipped
        (run_id,) = first.run_ids
        run = await engine.rested(run_id)
        assert (run["workflow"], run["status"]) == ("llm-triage", "succeeded")
        assert run["input"]["text"] == "Help\nHow do I sign in?"


async def test_a_ticket_without_words_still_says_which_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_DESK", str(tmp_path / "desk"))
    async with environment() as env:
        (firing,) = await env.fire(tickets, {"event": "ticket.created", "sender": "ada@example.org"})
        assert [run.workflow for run in firing.runs] == [llm_triage]
