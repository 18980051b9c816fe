"""Over real HTTP: a delivery that was changed in any way is 401, starts nothing, and never makes the server err."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.serving import Served, serving
from tests.unit.trigger.signing import BODY, SENDERS, SIGNING, SLACK, TIMED, Sender, flipped

SOURCES = """
from typing import Any

from pydantic import BaseModel, SecretStr

from ksl import Credential, GitHub, SharedToken, Slack, StandardWebhooks, Stripe, WebhookSource, workflow


class Secret(BaseModel):
    secret: SecretStr


@workflow
async def keep(input: dict[str, Any]) -> dict[str, Any]:
    return input


schemes = {"standard": StandardWebhooks, "github": GitHub, "stripe": Stripe, "slack": Slack, "token": SharedToken}
credentials = {name: Credential(name, fields=Secret) for name in schemes}
sources = {name: WebhookSource(name, verify=scheme(credentials[name])) for name, scheme in schemes.items()}
for source in sources.values():
    source.attach(keep)
standard, github, stripe, slack, token = sources.values()
one, two, three, four, five = credentials.values()
"""

Headers = list[tuple[bytes, bytes]]

every_scheme = pytest.mark.parametrize("name", SENDERS)


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setenv("KSL_HOME", str(tmp_path / "home"))
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n')
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "all.py").write_text(SOURCES)
    async with serving(tmp_path) as server:
        assert server.runtime.vault is not None
        for name, sender in SENDERS.items():
            await server.runtime.vault.set(name, {"secret": sender.secret})
        yield server


def now() -> str:
    return str(int(time.time()))


def headers_of(
    sender: Sender, body: bytes = BODY, *, at: str | None = None, secret: str | None = None
) -> Headers:
    pairs = [*sender.sign(secret or sender.secret, body, at or now()), *sender.extra]
    return [(name.encode(), value.encode()) for name, value in pairs]


async def post(served: Served, name: str, headers: Headers, body: bytes = BODY) -> int:
    sent = [(b"content-type", b"application/json"), *headers]
    return (await served.stranger.post(f"/triggers/{name}", headers=sent, content=body)).status_code


async def refused(served: Served, name: str, changed: Sequence[tuple[Headers, bytes]]) -> None:
    """Each of these deliveries is 401, and none has started a run."""
    at_once = asyncio.Semaphore(16)

    async def one(headers: Headers, body: bytes) -> int:
        async with at_once:
            return await post(served, name, headers, body)

    statuses = await asyncio.gather(*(one(*each) for each in changed))
    wrong = [(status, each) for status, each in zip(statuses, changed, strict=True) if status != 401]
    assert statuses
    assert not wrong, wrong[:3]
    assert (await served.client.get("/runs")).json()["runs"] == []


def some(flips: list[bytes]) -> list[bytes]:
    """Every fifth, which is each of the eight bits in turn. The scheme alone is tested with all of them."""
    return flips[::5]


def visible(value: bytes) -> bool:
    """Whether a header can carry it at all: what it cannot is refused before any route."""
    return all(byte in range(0x21, 0x7F) or byte >= 0x80 or byte == 0x20 for byte in value)


@every_scheme
async def test_a_delivery_as_it_was_sent_starts_its_run(served: Served, name: str) -> None:
    assert await post(served, name, headers_of(SENDERS[name])) == 202
    (run,) = (await served.client.get("/runs")).json()["runs"]
    assert (await served.settled(run["run_id"]))["output"] == json.loads(BODY)


@every_scheme
async def test_no_bit_of_a_signed_header_may_change(served: Served, name: str) -> None:
    sender = SENDERS[name]
    sent = headers_of(sender)
    changed: list[tuple[Headers, bytes]] = []
    for at, (header, value) in enumerate(sent):
        if header.decode().lower() in sender.signed:
            others = [other for other in some(flipped(value)) if visible(other) and other.strip() == other]
            changed += [([*sent[:at], (header, other), *sent[at + 1 :]], BODY) for other in others]
    await refused(served, name, changed)


@pytest.mark.parametrize("name", SIGNING)
async def test_no_bit_of_the_body_may_change(served: Served, name: str) -> None:
    sent = headers_of(SENDERS[name])
    again = json.dumps(json.loads(BODY), separators=(",", ":")).encode()
    await refused(
        served, name, [(sent, body) for body in [*some(flipped(BODY)), BODY[:-1], BODY + b" ", again, b""]]
    )


@every_scheme
async def test_a_header_cut_short_missing_or_doubled_is_refused(served: Served, name: str) -> None:
    sender = SENDERS[name]
    sent = headers_of(sender)
    changed: list[tuple[Headers, bytes]] = []
    for at, (header, value) in enumerate(sent):
        if header.decode().lower() in sender.signed:
            rest = [*sent[:at], *sent[at + 1 :]]
            cut = [value[:length] for length in range(0, len(value), 3)]
            changed += [([*rest, (header, short)], BODY) for short in cut]
            changed += [
                (rest, BODY),
                ([*sent, (header, value)], BODY),
                ([*sent, (header.upper(), b"x")], BODY),
            ]
    await refused(served, name, changed)


NONSENSE = [
    *(
        b"",
        b"\xff\xfe",
        "٣".encode(),
        b"\xed\xa0\x80",
        b",,,,",
        b"=" * 1_000,
        b"v1," * 300,
        b"v1a,AAAA",
        b"t=,v1=",
    ),
    *(
        b"t=1,t=2,v1=",
        b"sha256=",
        b"v0=",
        b"v0=" + b"0" * 64,
        b"Bearer",
        b"null",
        b"%00",
        b"'\"<>{}",
        b"9" * 4_000,
    ),
]


@every_scheme
async def test_nonsense_is_refused_like_anything_else(served: Served, name: str) -> None:
    sender = SENDERS[name]
    sent = headers_of(sender)
    changed: list[tuple[Headers, bytes]] = []
    for at, (header, _) in enumerate(sent):
        if header.decode().lower() in sender.signed:
            changed += [([*sent[:at], (header, other), *sent[at + 1 :]], BODY) for other in NONSENSE]
    changed += [([(header, other) for header, _ in sent], b"\xff\x00") for other in NONSENSE]
    await refused(served, name, changed)


@every_scheme
async def test_another_secret_or_none_is_refused(served: Served, name: str) -> None:
    sender = SENDERS[name]
    nothing: Headers = []
    await refused(served, name, [(headers_of(sender, secret=sender.other_secret), BODY), (nothing, BODY)])
    assert served.runtime.vault is not None
    await served.runtime.vault.set(name, {"secret": ""})
    empty = "whsec_" if name == "standard" else ""
    signed_with_nothing = [(key.encode(), value.encode()) for key, value in sender.sign(empty, BODY, now())]
    await refused(served, name, [(signed_with_nothing, BODY), (headers_of(sender), BODY)])


@pytest.mark.parametrize("name", TIMED)
async def test_a_time_that_is_old_in_the_future_or_no_number_is_refused(served: Served, name: str) -> None:
    old, ahead = str(int(time.time()) - 400), str(int(time.time()) + 400)
    times = [old, ahead, "0", "hello", "-1", f"{now()}.0", f"+{now()}", "nan", "1e9", "9" * 400]
    await refused(served, name, [(headers_of(SENDERS[name], at=at), BODY) for at in times])


async def test_slack_reads_its_challenge_and_others_do_not(served: Served) -> None:
    body = b'{"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV"}'

    async def asked(headers: Headers) -> tuple[int, Any]:
        sent = [(b"content-type", b"application/json"), *headers]
        answer = await served.stranger.post("/triggers/slack", headers=sent, content=body)
        return answer.status_code, answer.json().get("challenge")

    assert await asked(headers_of(SLACK, body)) == (200, "3eZbrw1aBm2rZgRNFdxV")
    assert await asked(headers_of(SLACK, body, secret=SLACK.other_secret)) == (401, None)
    assert (await served.client.get("/runs")).json()["runs"] == []


@every_scheme
async def test_a_source_whose_credential_nobody_set_takes_nothing(served: Served, name: str) -> None:
    assert served.runtime.vault is not None
    await served.runtime.vault.remove(name)
    await refused(served, name, [(headers_of(SENDERS[name]), BODY)])


@every_scheme
async def test_the_sender_learns_nothing_and_the_owner_the_reason(served: Served, name: str) -> None:
    sender = SENDERS[name]
    answer = await served.stranger.post(f"/triggers/{name}", json={"canary": "in the body"})
    assert answer.status_code == 401
    assert "missing" not in answer.text
    await served.runtime.store.flush()
    firings: list[dict[str, Any]] = (await served.client.get(f"/triggers/{name}/runs")).json()["firings"]
    (firing,) = firings
    assert (firing["verdict"], firing["payload"]) == ("rejected", None)
    assert "missing" in firing["reason"]
    assert sender.secret not in json.dumps(firings)
    assert "canary" not in json.dumps(firings)


async def test_an_event_of_stripe_is_known_again_whatever_is_still_pending(served: Served) -> None:
    async def send(body: bytes) -> tuple[int, Any]:
        sent = [(b"content-type", b"application/json"), *headers_of(SENDERS["stripe"], body)]
        answer = await served.stranger.post("/triggers/stripe", headers=sent, content=body)
        return answer.status_code, answer.json().get("run_ids")

    first = await send(b'{"id": "evt_1", "pending_webhooks": 2, "amount": 5}')
    retried = await send(b'{"id": "evt_1", "pending_webhooks": 1, "amount": 5}')
    other, _ = await send(b'{"id": "evt_1", "pending_webhooks": 1, "amount": 6}')

    assert first[0] == 202
    assert retried == first
    assert other == 409


async def test_a_credential_that_no_longer_fits_its_model_is_the_owners_business(tmp_path: Path) -> None:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n')
    (tmp_path / "workflows").mkdir()
    code = tmp_path / "workflows" / "all.py"
    code.write_text(SOURCES)
    async with serving(tmp_path) as server:
        assert server.runtime.vault is not None
        await server.runtime.vault.set("github", {"secret": SENDERS["github"].secret})
    code.write_text(SOURCES.replace("secret: SecretStr", "secret: SecretStr\n    added: str"))

    async with serving(tmp_path) as server:
        status = await post(server, "github", headers_of(SENDERS["github"]))
        await server.runtime.store.flush()
        (firing,) = (await server.client.get("/triggers/github/runs")).json()["firings"]

    assert status == 401
    assert (firing["verdict"], "added" in firing["reason"]) == ("rejected", True)
