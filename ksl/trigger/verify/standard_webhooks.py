"""Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` and `webhook-signature`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence

from ksl.errors import Unverified
from ksl.trigger.verify.request import SignedRequest, Verified
from ksl.trigger.verify.scheme import (
    TOLERANCE,
    Duration,
    HoldsSecret,
    TimedScheme,
    checked_id,
    hmac_sha256,
    require_match,
    usable,
)

KEY_MIN = 24  # bytes, says the specification
SIGNATURES_MAX = 16  # each is another ed25519 verification, which strangers could have us make by the hundred

_SYMMETRIC = "whsec_"
_PUBLIC = "whpk_"
_PRIVATE = "whsk_"


class StandardWebhooks(TimedScheme):
    """HMAC-SHA256 (`v1`) where the secret is `whsec_...`, ed25519 (`v1a`) where it is the public key
    `whpk_...`. The id is under the signature: a repeated delivery is known for what it is. `prefix="svix"` is for
    senders that call the headers `svix-id` and so on."""

    def __init__(
        self,
        credential: HoldsSecret | Sequence[HoldsSecret],
        *,
        tolerance: Duration = TOLERANCE,
        prefix: str = "webhook",
    ) -> None:
        super().__init__(credential, tolerance=tolerance)
        self.prefix = prefix.lower()

    def verify(self, request: SignedRequest, secrets: Sequence[str]) -> Verified:
        delivery_id = checked_id(request.header(f"{self.prefix}-id"), what=f"{self.prefix}-id")
        if "." in delivery_id:
            # "a.1.2.x" is what is signed for id "a" at time 1 and for id "a.1" at time 2
            raise Unverified(f"{self.prefix}-id holds a full stop")
        sent_at = request.header(f"{self.prefix}-timestamp")
        self.check_time(sent_at, request.now_ms)
        signatures = request.header(f"{self.prefix}-signature").split(" ")
        if len(signatures) > SIGNATURES_MAX:
            raise Unverified(f"{len(signatures)} signatures are more than {SIGNATURES_MAX}")
        content = f"{delivery_id}.{sent_at}.".encode() + request.body
        keys = usable(secrets)
        public = [key for key in keys if key.startswith(_PUBLIC)]
        if any(_is_signed_by(key, signatures, content) for key in public):
            return Verified(delivery_id)
        right = [
            b"v1," + b64encode(hmac_sha256(_key(key), content)) for key in keys if not key.startswith(_PUBLIC)
        ]
        if public and not right:
            raise Unverified(f"no v1a signature is right; {len(public)} public keys tried")
        require_match(signatures, right)
        return Verified(delivery_id)


def _key(secret: str) -> bytes:
    if secret.startswith(_PRIVATE):
        raise Unverified(f"the secret is a private key ({_PRIVATE}...); this side needs the {_PUBLIC}... key")
    key = _decoded(secret.removeprefix(_SYMMETRIC))
    if len(key) < KEY_MIN:
        raise Unverified(f"the secret is {len(key)} bytes long; Standard Webhooks asks for {KEY_MIN} or more")
    return key


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise Unverified("the secret is not base64") from None


def _is_signed_by(secret: str, signatures: Sequence[str], content: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise Unverified("v1a signatures need the package cryptography, which is not installed") from None
    try:
        key = Ed25519PublicKey.from_public_bytes(_decoded(secret.removeprefix(_PUBLIC)))
    except ValueError:
        raise Unverified("the public key is not 32 bytes long") from None
    for text in signatures:
        version, _, signature = text.partition(",")
        raw = _signature(signature)
        if version != "v1a" or raw is None:
            continue
        try:
            key.verify(raw, content)
            return True
        except InvalidSignature:
            continue
    return False


def _signature(text: str) -> bytes | None:
    """None unless it is the one spelling of these bytes."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        return None
    return raw if b64encode(raw).decode() == text else None
