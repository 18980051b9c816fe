"""GitHub: `X-Hub-Signature-256` over the raw body."""

from __future__ import annotations

from collections.abc import Sequence

from ksl.trigger.verify.request import SignedRequest, Verified
from ksl.trigger.verify.scheme import Scheme, checked_id, hmac_sha256, require_match, usable


class GitHub(Scheme):
    """Neither a time nor the delivery's id is under the signature. Repeated deliveries are told by
    `X-GitHub-Delivery`, but whoever has once seen a delivery can send it again under another id."""

    def verify(self, request: SignedRequest, secrets: Sequence[str]) -> Verified:
        given = request.header("x-hub-signature-256")
        delivery = request.optional("x-github-delivery")
        right = [
            b"sha256=" + hmac_sha256(secret.encode(errors="surrogatepass"), request.body).hex().encode()
            for secret in usable(secrets)
        ]
        require_match([given], right)
        return Verified(None if delivery is None else checked_id(delivery, what="x-github-delivery"))
