"""The sender's side of each scheme, written from its public description."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, SecretStr

from ksl.trigger.verify.github import GitHub
from ksl.trigger.verify.request import SignedRequest
from ksl.trigger.verify.scheme import Scheme
from ksl.trigger.verify.shared_token import SharedToken
from ksl.trigger.verify.slack import Slack
from ksl.trigger.verify.standard_webhooks import StandardWebhooks
from ksl.trigger.verify.stripe import Stripe

NOW_S = 1_614_265_330
BODY = b'{"id": "evt_7", "event_id": "Ev7", "n": 2432232314}'

Headers = list[tuple[str, str]]


class Secret(BaseModel):
    secret: SecretStr


@dataclass
class Holder:
    """What a scheme needs of a credential."""

    name: str = "signup"
    fields: type[BaseModel] = Secret


@dataclass(frozen=True)
class Sender:
    scheme: Scheme
    secret: str
    other_secret: str
    sign: Callable[[str, bytes, str], Headers]  # (secret, body, time as text)
    signed: tuple[str, ...]  # headers of which no bit may change
    delivery_id: str | None
    timed: bool = True
    extra: Headers = field(default_factory=list[tuple[str, str]])

    def request(self, body: bytes = BODY, *, now_s: int = NOW_S, at: str | None = None) -> SignedRequest:
        headers = self.sign(self.secret, body, str(NOW_S) if at is None else at)
        return SignedRequest.of([*headers, *self.extra], body=body, now_ms=now_s * 1000)

    def replaced(self, name: str, *values: str, body: bytes = BODY) -> SignedRequest:
        """The same delivery with other values of one header."""
        request = self.request(body)
        headers = {key: list(each) for key, each in request.headers.items() if key != name}
        if values:
            headers[name] = list(values)
        return SignedRequest(headers, request.query, request.body, request.now_ms)


def mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()


def sign_standard(secret: str, body: bytes, at: str) -> Headers:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = b"msg_p5jXN8AQM9LWM0D4loKWxJek." + at.encode() + b"." + body
    return [
        ("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("Webhook-Timestamp", at),
        ("Webhook-Signature", "v1," + base64.b64encode(mac(key, content)).decode()),
    ]


def sign_github(secret: str, body: bytes, _at: str) -> Headers:
    return [("X-Hub-Signature-256", "sha256=" + mac(secret.encode(), body).hex())]


def sign_stripe(secret: str, body: bytes, at: str) -> Headers:
    signature = mac(secret.encode(), at.encode() + b"." + body).hex()
    return [("Stripe-Signature", f"t={at},v1={signature}")]


def sign_slack(secret: str, body: bytes, at: str) -> Headers:
    signature = mac(secret.encode(), b"v0:" + at.encode() + b":" + body).hex()
    return [("X-Slack-Signature", f"v0={signature}"), ("X-Slack-Request-Timestamp", at)]


def sign_token(secret: str, _body: bytes, _at: str) -> Headers:
    return [("X-Webhook-Token", secret)]


STANDARD = Sender(
    StandardWebhooks(Holder()),
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_NfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    sign_standard,
    ("webhook-id", "webhook-timestamp", "webhook-signature"),
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
)
GITHUB = Sender(
    GitHub(Holder()),
    "It's a Secret to Everybody",
    "It's a Secret to everybody",
    sign_github,
    ("x-hub-signature-256",),
    "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    timed=False,
    extra=[("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")],
)
STRIPE = Sender(
    Stripe(Holder()),
    "whsec_test_secret",
    "whsec_test_secreT",
    sign_stripe,
    ("stripe-signature",),
    "evt_7",
)
SLACK = Sender(
    Slack(Holder()),
    "8f742231b10e8888abcd99yyyzzz85a5",
    "8f742231b10e8888abcd99yyyzzz85a6",
    sign_slack,
    ("x-slack-signature", "x-slack-request-timestamp"),
    "Ev7",
)
TOKEN = Sender(
    SharedToken(Holder()),
    "token-of-the-sender",
    "token-of-another",
    sign_token,
    ("x-webhook-token",),
    None,
    timed=False,
)

SIGNING = {"standard": STANDARD, "github": GITHUB, "stripe": STRIPE, "slack": SLACK}
SENDERS = {**SIGNING, "token": TOKEN}
TIMED = {name: sender for name, sender in SENDERS.items() if sender.timed}


def flipped(data: bytes) -> list[bytes]:
    """Each single bit the other way."""
    return [
        data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
        for at in range(len(data))
        for bit in range(8)
    ]
