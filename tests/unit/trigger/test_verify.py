"""Public vectors pass; whatever else arrives is refused with `Unverified` and with nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from ksl import Credential, Credentials
from ksl.define.credential import Resolved
from ksl.errors import MalformedTrigger, MissingCredential, Unverified
from ksl.trigger.verify.github import GitHub
from ksl.trigger.verify.request import SignedRequest, Verified
from ksl.trigger.verify.resolving import secrets_of
from ksl.trigger.verify.scheme import Scheme
from ksl.trigger.verify.secret_fields import secrets_in
from ksl.trigger.verify.shared_token import SharedToken
from ksl.trigger.verify.slack import Slack
from ksl.trigger.verify.standard_webhooks import StandardWebhooks
from ksl.trigger.verify.stripe import Stripe

from tests.unit.trigger.signing import (
    BODY,
    GITHUB,
    NOW_S,
    SENDERS,
    SIGNING,
    SLACK,
    STANDARD,
    STRIPE,
    TIMED,
    TOKEN,
    Holder,
    Secret,
    Sender,
    flipped,
    mac,
)

every_sender = pytest.mark.parametrize("sender", SENDERS.values(), ids=SENDERS)
signing = pytest.mark.parametrize("sender", SIGNING.values(), ids=SIGNING)
timed = pytest.mark.parametrize("sender", TIMED.values(), ids=TIMED)


def refused(sender: Sender, request: SignedRequest, *secrets: str) -> str:
    with pytest.raises(Unverified) as error:
        sender.scheme.verify(request, secrets or [sender.secret])
    return str(error.value)


# --- vectors that the schemes' owners publish -------------------------------------------------------


def test_the_vector_of_standard_webhooks() -> None:
    request = SignedRequest.of(
        [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ],
        body=b'{"test": 2432232314}',
        now_ms=1_614_265_330_000,
    )
    verified = StandardWebhooks(Holder()).verify(request, ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    assert verified == Verified("msg_p5jXN8AQM9LWM0D4loKWxJek")


def test_the_vector_of_github() -> None:
    signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    request = SignedRequest.of(
        [("X-Hub-Signature-256", f"sha256={signature}")], body=b"Hello, World!", now_ms=0
    )
    assert GitHub(Holder()).verify(request, ["It's a Secret to Everybody"]) == Verified(None)


def test_the_vector_of_slack() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
        b"%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    request = SignedRequest.of(
        [("X-Slack-Signature", f"v0={signature}"), ("X-Slack-Request-Timestamp", "1531420618")],
        body=body,
        now_ms=1_531_420_618_000,
    )
    assert Slack(Holder()).verify(request, ["8f742231b10e8888abcd99yyyzzz85a5"]) == Verified(None)


def test_a_header_as_the_library_of_stripe_makes_it() -> None:
    signature = "64776382e3b272a50ff9d6821bb74452794757d5dd79f1b091f36be25190d080"
    request = SignedRequest.of(
        [("Stripe-Signature", f"t=1614265330,v1={signature}")],
        body=b'{"id": "evt_test_webhook", "object": "event"}',
        now_ms=1_614_265_330_000,
    )
    assert Stripe(Holder()).verify(request, ["whsec_test_secret"]) == Verified("evt_test_webhook")


@every_sender
def test_a_delivery_as_it_was_sent_is_verified_with_its_id(sender: Sender) -> None:
    assert sender.scheme.verify(sender.request(), [sender.secret]) == Verified(sender.delivery_id)


# --- each way of not being that delivery ------------------------------------------------------------


@every_sender
def test_no_bit_of_a_signed_header_may_change(sender: Sender) -> None:
    for name in sender.signed:
        (value,) = sender.request().headers[name]
        for other in flipped(value.encode()):
            refused(sender, sender.replaced(name, other.decode("latin-1")))


@signing
def test_no_bit_of_the_body_may_change(sender: Sender) -> None:
    headers = sender.request().headers
    for body in [*flipped(BODY), BODY[:-1], BODY + b"\n", b"", b"\xef\xbb\xbf" + BODY]:
        refused(sender, SignedRequest(headers, {}, body, NOW_S * 1000))


@signing
def test_a_body_that_was_parsed_and_written_again_is_another(sender: Sender) -> None:
    again = json.dumps(json.loads(BODY), separators=(",", ":")).encode()
    assert json.loads(again) == json.loads(BODY)
    refused(sender, SignedRequest(sender.request().headers, {}, again, NOW_S * 1000))


@every_sender
def test_a_header_cut_short_anywhere_is_refused(sender: Sender) -> None:
    for name in sender.signed:
        (value,) = sender.request().headers[name]
        for length in range(len(value)):
            refused(sender, sender.replaced(name, value[:length]))


@every_sender
def test_a_header_that_is_missing_or_came_twice_is_refused(sender: Sender) -> None:
    for name in sender.signed:
        (value,) = sender.request().headers[name]
        assert "missing" in refused(sender, sender.replaced(name))
        assert "2 times" in refused(sender, sender.replaced(name, value, value))
        assert "2 times" in refused(sender, sender.replaced(name, value, "other"))


@every_sender
def test_another_secret_an_empty_one_and_none_are_refused(sender: Sender) -> None:
    assert "no " in refused(sender, sender.request(), sender.other_secret)
    assert "empty" in refused(sender, sender.request(), "")
    with pytest.raises(Unverified, match="no secret"):
        sender.scheme.verify(sender.request(), [])


@pytest.mark.parametrize("name", [name for name in SENDERS if name != "standard"])
def test_who_signs_with_an_empty_secret_is_refused(name: str) -> None:
    sender = SENDERS[name]
    request = SignedRequest.of(sender.sign("", BODY, str(NOW_S)), body=BODY, now_ms=NOW_S * 1000)
    assert "empty" in refused(sender, request, "")
    refused(sender, request, "", sender.secret)


def test_who_signs_with_an_empty_key_of_standard_webhooks_is_refused() -> None:
    for empty in ("whsec_", "whsec_AAAA", "whsec_" + base64.b64encode(b"k" * 23).decode()):
        headers = STANDARD.sign(empty, BODY, str(NOW_S))
        request = SignedRequest.of(headers, body=BODY, now_ms=NOW_S * 1000)
        assert "bytes long" in refused(STANDARD, request, empty)


@every_sender
def test_while_a_secret_is_changed_either_is_taken(sender: Sender) -> None:
    for secrets in ([sender.other_secret, sender.secret], [sender.secret, "", sender.other_secret]):
        assert sender.scheme.verify(sender.request(), secrets) == Verified(sender.delivery_id)


@timed
@pytest.mark.parametrize("late_s", [301, -301, 86_400, -86_400, NOW_S])
def test_a_time_that_is_old_or_in_the_future_is_refused(sender: Sender, late_s: int) -> None:
    reason = refused(sender, sender.request(now_s=NOW_S + late_s))
    assert ("old" if late_s > 0 else "ahead") in reason
    assert "5m are tolerated" in reason


@timed
@pytest.mark.parametrize("late_s", [300, -300, 0])
def test_a_time_within_the_tolerance_is_taken(sender: Sender, late_s: int) -> None:
    request = sender.request(now_s=NOW_S + late_s)
    assert sender.scheme.verify(request, [sender.secret]) == Verified(sender.delivery_id)


NO_TIMES = [
    *("hello", "", "nan", "inf", "-1614265330", "+1614265330", "1614265330.0", "1.6e9", "0x6037b9f2"),
    *("1_614_265_330", " 1614265330", "1614265330 ", "1614265330\n", "٣٦١٤٢٦٥٣٣٠", "²", "9" * 4_000),
]


@timed
@pytest.mark.parametrize("at", NO_TIMES, ids=repr)
def test_a_time_that_is_not_a_number_of_seconds_is_refused_even_if_it_was_signed(
    sender: Sender, at: str
) -> None:
    assert "not a number of seconds" in refused(sender, sender.request(at=at))


@every_sender
def test_the_case_of_a_header_s_name_does_not_count(sender: Sender) -> None:
    headers = [*sender.sign(sender.secret, BODY, str(NOW_S)), *sender.extra]
    for spelt in (str.lower, str.upper, str.title):
        request = SignedRequest.of([(spelt(k), v) for k, v in headers], body=BODY, now_ms=NOW_S * 1000)
        assert sender.scheme.verify(request, [sender.secret]) == Verified(sender.delivery_id)


@signing
def test_a_reason_never_holds_a_secret_or_the_right_signature(sender: Sender) -> None:
    (right,) = sender.request().headers[sender.signed[-1] if sender is STANDARD else sender.signed[0]]
    signature = right.partition("v1=")[2] or right[-40:]
    for request in (sender.replaced(sender.signed[0]), SignedRequest(sender.request().headers, {}, b"x", 0)):
        reason = refused(sender, request)
        assert sender.secret not in reason
        assert signature not in reason


# --- several signatures -----------------------------------------------------------------------------


def test_one_right_signature_of_several_is_enough_for_standard_webhooks() -> None:
    (right,) = STANDARD.request().headers["webhook-signature"]
    wrong = "v1," + base64.b64encode(bytes(32)).decode()
    for several in (f"{wrong} {right}", f"{right} {wrong}", f"v1a,AAAA {right} v2,x"):
        assert STANDARD.scheme.verify(
            STANDARD.replaced("webhook-signature", several), [STANDARD.secret]
        ) == Verified(STANDARD.delivery_id)
    for none in (f"{wrong} {wrong}", right.replace("v1,", "v2,"), right.replace("v1,", "v1a,"), right[3:]):
        refused(STANDARD, STANDARD.replaced("webhook-signature", none))


def test_a_hundred_signatures_are_not_tried() -> None:
    (right,) = STANDARD.request().headers["webhook-signature"]
    most = STANDARD.replaced("webhook-signature", "v1a,x " * 15 + right)
    assert STANDARD.scheme.verify(most, [STANDARD.secret]) == Verified(STANDARD.delivery_id)
    assert "17 signatures" in refused(STANDARD, STANDARD.replaced("webhook-signature", "v1a,x " * 16 + right))


def test_one_right_v1_of_several_is_enough_for_stripe_and_v0_never_is() -> None:
    (header,) = STRIPE.request().headers["stripe-signature"]
    right = header.partition("v1=")[2]
    for several in (
        f"t={NOW_S},v1={'0' * 64},v1={right}",
        f"v1={right},t={NOW_S}",
        f"t={NOW_S},v1={right},v0=x",
    ):
        assert STRIPE.scheme.verify(STRIPE.replaced("stripe-signature", several), [STRIPE.secret]) == (
            Verified("evt_7")
        )
    for none in (
        f"t={NOW_S},v0={right}",
        f"t={NOW_S},t={NOW_S},v1={right}",
        f"t={NOW_S + 1},v1={right}",
        f"t={NOW_S}",
        f"v1={right}",
        f"t={NOW_S},v1={right.upper()}",
        f"t={NOW_S}, v1={right}",
    ):
        refused(STRIPE, STRIPE.replaced("stripe-signature", none))


def test_a_later_attempt_at_an_event_of_stripe_may_count_pending_webhooks_differently() -> None:
    def content(body: bytes) -> bytes | None:
        return STRIPE.scheme.verify(STRIPE.request(body), [STRIPE.secret]).content

    first = content(b'{"id": "evt_7", "pending_webhooks": 2, "data": {"pending_webhooks": 1}}')
    assert first is not None
    assert first == content(b'{"id": "evt_7", "data": {"pending_webhooks": 1}, "pending_webhooks": 0}')
    assert first != content(b'{"id": "evt_7", "pending_webhooks": 2, "data": {"pending_webhooks": 0}}')


@pytest.mark.parametrize("sender", [GITHUB, SLACK], ids=["github", "slack"])
def test_github_and_slack_send_one_signature(sender: Sender) -> None:
    name = sender.signed[0]
    (right,) = sender.request().headers[name]
    for other in (
        f"{right},{right}",
        f"{right} {right}",
        f" {right}",
        right.upper(),
        right.partition("=")[2],
    ):
        refused(sender, sender.replaced(name, other))


def test_slack_asks_whether_an_address_is_the_receiver_s() -> None:
    body = b'{"token": "x", "challenge": "3eZbrw1aBm2rZgRNFdxV", "type": "url_verification"}'
    verified = SLACK.scheme.verify(SLACK.request(body), [SLACK.secret])
    assert verified == Verified(challenge="3eZbrw1aBm2rZgRNFdxV")
    forged = SLACK.request(body)
    refused(SLACK, SignedRequest(forged.headers, {}, body + b" ", forged.now_ms))
    for other in (b'{"challenge": "x"}', b'{"type": "url_verification", "challenge": 7}'):
        assert SLACK.scheme.verify(SLACK.request(other), [SLACK.secret]) == Verified()


def test_an_id_of_standard_webhooks_may_not_hold_a_full_stop() -> None:
    # what is signed for id "a", time 1 and body "2.x" is what is signed for id "a.1", time 2 and body "x"
    key = base64.b64decode(STANDARD.secret.removeprefix("whsec_"))
    at = str(NOW_S)
    signature = base64.b64encode(mac(key, f"a.{at}.{at}.x".encode())).decode()

    def request(delivery_id: str, body: bytes) -> SignedRequest:
        headers = [
            ("webhook-id", delivery_id),
            ("webhook-timestamp", at),
            ("webhook-signature", f"v1,{signature}"),
        ]
        return SignedRequest.of(headers, body=body, now_ms=NOW_S * 1000)

    assert STANDARD.scheme.verify(request("a", f"{at}.x".encode()), [STANDARD.secret]) == Verified("a")
    assert "full stop" in refused(STANDARD, request(f"a.{at}", b"x"))


@pytest.mark.parametrize("delivery_id", ["", " ", "a b", "é", "x" * 256, "a\x00", "a\n"])
def test_an_id_that_cannot_be_kept_is_refused(delivery_id: str) -> None:
    request = GITHUB.replaced("x-github-delivery", delivery_id)
    assert "x-github-delivery" in refused(GITHUB, request)


def test_a_delivery_of_github_without_an_id_is_taken_and_one_with_two_is_not() -> None:
    verify = GITHUB.scheme.verify
    assert verify(GITHUB.replaced("x-github-delivery"), [GITHUB.secret]) == Verified(None)
    refused(GITHUB, GITHUB.replaced("x-github-delivery", "a", "b"))


@pytest.mark.parametrize(
    "body", [b"[" * 5_000, b"{", b"[]", b"7", b'{"id": 7}', b'{"id": "a b"}', b"\xff", b""]
)
def test_a_signed_body_without_an_event_id_has_no_delivery_id(body: bytes) -> None:
    assert STRIPE.scheme.verify(STRIPE.request(body), [STRIPE.secret]) == Verified(None)


def test_the_headers_of_standard_webhooks_may_have_another_prefix() -> None:
    request = STANDARD.request()
    renamed = {name.replace("webhook-", "svix-"): values for name, values in request.headers.items()}
    named = SignedRequest(renamed, {}, BODY, request.now_ms)
    assert StandardWebhooks(Holder(), prefix="svix").verify(named, [STANDARD.secret]) == Verified(
        STANDARD.delivery_id
    )
    assert "webhook-id is missing" in refused(STANDARD, named)


# --- ed25519 ----------------------------------------------------------------------------------------


def asymmetric(key: Ed25519PrivateKey, *, version: str = "v1a") -> SignedRequest:
    signature = base64.b64encode(key.sign(f"msg_1.{NOW_S}.".encode() + BODY)).decode()
    headers = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", str(NOW_S)),
        ("webhook-signature", f"{version},{signature}"),
    ]
    return SignedRequest.of(headers, body=BODY, now_ms=NOW_S * 1000)


def public(key: Ed25519PrivateKey) -> str:
    return "whpk_" + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def test_an_ed25519_signature_is_verified_with_the_public_key() -> None:
    key, other = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
    verify = STANDARD.scheme.verify
    assert verify(asymmetric(key), [public(key)]) == Verified("msg_1")
    assert verify(asymmetric(key), [public(other), public(key)]) == Verified("msg_1")
    assert verify(asymmetric(key), [STANDARD.secret, public(key)]) == Verified("msg_1")
    assert verify(STANDARD.request(), [public(key), STANDARD.secret]) == Verified(STANDARD.delivery_id)


def test_nothing_else_passes_for_an_ed25519_signature() -> None:
    key, other = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
    refused(STANDARD, asymmetric(key), public(other))
    refused(STANDARD, asymmetric(key, version="v1"), public(key))
    refused(STANDARD, asymmetric(key), STANDARD.secret)
    # the public key is public: nobody may sign with it as if it were a secret
    as_secret = STANDARD.sign(public(key).replace("whpk_", "whsec_"), BODY, str(NOW_S))
    refused(STANDARD, SignedRequest.of(as_secret, body=BODY, now_ms=NOW_S * 1000), public(key))
    request = asymmetric(key)
    (value,) = request.headers["webhook-signature"]
    for text in flipped(value.encode()):
        headers = {**request.headers, "webhook-signature": [text.decode("latin-1")]}
        refused(STANDARD, SignedRequest(headers, {}, BODY, request.now_ms), public(key))
    for body in flipped(BODY)[::7]:
        refused(STANDARD, SignedRequest(request.headers, {}, body, request.now_ms), public(key))


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("whpk_AAAA", "32 bytes"),
        ("whpk_~", "not base64"),
        ("whsk_AAAA", "private key"),
        ("not base64!", "not base64"),
        ("whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "not base64"),
        ("whsec_\ud800", "not base64"),
    ],
)
def test_a_secret_that_is_no_key_is_told_without_being_shown(secret: str, reason: str) -> None:
    told = refused(STANDARD, STANDARD.request(), secret)
    assert reason in told
    assert secret not in told


# --- shared tokens ----------------------------------------------------------------------------------


def with_token(*headers: tuple[str, str], query: tuple[str, ...] = ()) -> SignedRequest:
    return SignedRequest.of(headers, [("token", value) for value in query], body=BODY, now_ms=0)


@pytest.mark.parametrize(
    "request_",
    [
        with_token(("Authorization", f"Bearer {TOKEN.secret}")),
        with_token(("Authorization", f"bearer  {TOKEN.secret}")),
        with_token(("X-Webhook-Token", TOKEN.secret)),
        with_token(query=(TOKEN.secret,)),
        with_token(("Authorization", "Basic abc"), ("X-Webhook-Token", TOKEN.secret)),
    ],
)
def test_a_token_is_taken_from_any_of_its_places(request_: SignedRequest) -> None:
    assert TOKEN.scheme.verify(request_, [TOKEN.secret]) == Verified(None)


@pytest.mark.parametrize(
    "request_",
    [
        with_token(),
        with_token(("Authorization", TOKEN.secret)),
        with_token(("Authorization", f"Basic {TOKEN.secret}")),
        with_token(("Authorization", f"Bearer {TOKEN.secret}x")),
        with_token(("Authorization", f"Bearer {TOKEN.secret}, Bearer {TOKEN.secret}")),
        with_token(("Authorization", f"Bearer {TOKEN.secret}"), ("Authorization", "Bearer x")),
        with_token(("Authorization", "Bearer x"), ("X-Webhook-Token", TOKEN.secret)),
        with_token(query=(TOKEN.secret, TOKEN.secret)),
        with_token(query=(TOKEN.secret[:-1],)),
        with_token(query=("",)),
        with_token(("X-Other", TOKEN.secret)),
    ],
)
def test_a_token_elsewhere_twice_or_not_whole_is_refused(request_: SignedRequest) -> None:
    refused(TOKEN, request_)


def test_the_places_of_a_token_can_be_chosen() -> None:
    scheme = SharedToken(Holder(), header="X-Gitlab-Token", query=None, delivery_header="X-Gitlab-Event-UUID")
    request = with_token(("x-gitlab-token", TOKEN.secret), ("X-Gitlab-Event-Uuid", "u-1"))
    assert scheme.verify(request, [TOKEN.secret]) == Verified("u-1")
    for elsewhere in (with_token(query=(TOKEN.secret,)), with_token(("X-Webhook-Token", TOKEN.secret))):
        with pytest.raises(Unverified, match="missing"):
            scheme.verify(elsewhere, [TOKEN.secret])
    with pytest.raises(MalformedTrigger, match="not the name of a header"):
        SharedToken(Holder(), header="X Token")


# --- whatever the network sends ---------------------------------------------------------------------

NAMES = sorted({name for sender in SENDERS.values() for name in sender.signed} | {"authorization", "x"})
VALUES = st.one_of(
    st.text(max_size=80),
    st.from_regex(r"(v1|v1a|v0|sha256|t)[,=][A-Za-z0-9+/=, ]{0,90}", fullmatch=True),
    st.just(str(NOW_S)),
    st.sampled_from(
        [value for sender in SENDERS.values() for each in sender.request().headers.values() for value in each]
    ),
)
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=20), VALUES), max_size=8)
SECRETS = st.lists(
    st.one_of(st.text(max_size=50), st.sampled_from(["", "whsec_", "whpk_", "whsk_x", "whpk_AAAA"])),
    max_size=3,
)


@given(st.sampled_from(list(SENDERS.values())), PAIRS, PAIRS, st.binary(max_size=200), st.integers(), SECRETS)
def test_whatever_arrives_is_refused_and_nothing_else_is_raised(
    sender: Sender,
    headers: list[tuple[str, str]],
    query: list[tuple[str, str]],
    body: bytes,
    now_ms: int,
    secrets: list[str],
) -> None:
    request = SignedRequest.of(headers, query, body=body, now_ms=now_ms)
    try:
        verified = sender.scheme.verify(request, secrets)
    except Unverified:
        pass
    else:
        # Only a token can be guessed, and only where the guess is among the secrets.
        assert sender is TOKEN, verified
        given_tokens = {value.partition(" ")[2].strip(" ") for _, value in headers}
        assert (given_tokens | {value for _, value in [*headers, *query]}) & set(secrets)


@given(st.text(max_size=120), st.data())
def test_a_changed_header_is_refused_whatever_it_became(text: str, data: st.DataObject) -> None:
    sender = data.draw(st.sampled_from(list(SENDERS.values())))
    name = data.draw(st.sampled_from(sender.signed))
    (value,) = sender.request().headers[name]
    if text != value:
        refused(sender, sender.replaced(name, text))


# --- declarations -----------------------------------------------------------------------------------


class Rotating(BaseModel):
    secret: SecretStr
    previous: SecretStr | None = None


class Several(BaseModel):
    url: str
    keys: list[SecretStr]


class Two(BaseModel):
    one: SecretStr
    two: SecretStr


class Open(BaseModel):
    url: str


def test_the_secrets_of_a_credential_are_found_by_name_or_by_type() -> None:
    assert secrets_in(Rotating(secret=SecretStr("new"))) == ["new"]
    assert secrets_in(Rotating(secret=SecretStr("new"), previous=SecretStr("old"))) == ["new", "old"]
    assert secrets_in(Several(url="u", keys=[SecretStr("a"), SecretStr("b")])) == ["a", "b"]


class Shelf:
    """Where credentials are looked up. One that is not there is missing."""

    def __init__(self, **values: BaseModel) -> None:
        self._values = values

    async def resolve(self, credentials: Sequence[Any], **_options: Any) -> Resolved:
        for each in credentials:
            if each.name not in self._values:
                raise MissingCredential(f"credential {each.name} is not set")
        return Resolved(Credentials({each: self._values[each.name] for each in credentials}), ())


async def test_secrets_are_looked_up_in_order_and_one_of_several_may_be_missing() -> None:
    new, old = Credential("new", fields=Rotating), Credential("old", fields=Secret)
    scheme = GitHub([new, old])
    rotating = Rotating(secret=SecretStr("n1"), previous=SecretStr("n0"))
    both = Shelf(new=rotating, old=Secret(secret=SecretStr("o")))
    assert await secrets_of(scheme, both) == ["n1", "n0", "o"]
    assert await secrets_of(scheme, Shelf(old=Secret(secret=SecretStr("o")))) == ["o"]
    with pytest.raises(MissingCredential, match="new is not set"):
        await secrets_of(scheme, Shelf())


SCHEMES: list[Callable[..., Scheme]] = [StandardWebhooks, GitHub, Stripe, Slack, SharedToken]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_takes_one_credential_or_several(scheme: Callable[..., Scheme]) -> None:
    one, two = Holder("one", Rotating), Holder("two", Several)
    assert scheme(credential=one).credentials == (one,)
    assert scheme(credential=[one, two]).credentials == (one, two)
    assert repr(scheme(credential=[one, two])).endswith("(one, two)")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("credential", "told"),
    [
        ("signup", "no credential"),
        (None, "no credential"),
        (SecretStr("s"), "no credential"),
        ([], "needs a credential"),
        (Holder("c", Two), "one, two"),
        (Holder("c", Open), "has none"),
    ],
    ids=["text", "none", "secret", "empty", "two", "open"],
)
def test_a_scheme_without_a_secret_is_refused_where_it_is_written(
    scheme: Callable[..., Scheme], credential: object, told: str
) -> None:
    with pytest.raises(MalformedTrigger, match=told):
        scheme(credential=credential)


@pytest.mark.parametrize("scheme", [StandardWebhooks, Stripe, Slack])
@pytest.mark.parametrize("tolerance", ["soon", 0, -1, "8d", None])
def test_a_tolerance_is_more_than_nothing_and_no_longer_than_ids_are_kept(
    scheme: Callable[..., Scheme], tolerance: object
) -> None:
    with pytest.raises(MalformedTrigger, match="tolerance"):
        scheme(credential=Holder(), tolerance=tolerance)


def test_a_tolerance_is_kept_to_the_second() -> None:
    scheme = Stripe(Holder(), tolerance="10s")
    assert scheme.verify(STRIPE.request(now_s=NOW_S + 10), [STRIPE.secret]) == Verified("evt_7")
    with pytest.raises(Unverified, match="11s old"):
        scheme.verify(STRIPE.request(now_s=NOW_S + 11), [STRIPE.secret])
