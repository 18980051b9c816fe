"""Stripe: `Stripe-Signature: t=...,v1=...`."""

from __future__ import annotations

from collections.abc import Sequence

from ksl.errors import Unverified
from ksl.trigger.verify.request import SignedRequest, Verified
from ksl.trigger.verify.scheme import TimedScheme, event_id, hmac_sha256, require_match, top_level, usable

# How many addresses Stripe has still to reach with this event: known anew for each attempt.
_OF_THE_ATTEMPT = frozenset({"pending_webhooks"})


class Stripe(TimedScheme):
    """The header may hold several `v1`, one for each secret in use while it is changed; other versions are
    ignored, `v0` above all. The delivery is named by the event's `id` in the body. A later attempt at it may count
    `pending_webhooks` differently, and is the same delivery all the same."""

    def verify(self, request: SignedRequest, secrets: Sequence[str]) -> Verified:
        pairs = [part.partition("=") for part in request.header("stripe-signature").split(",")]
        times = [value for key, _, value in pairs if key == "t"]
        if len(times) != 1:
            raise Unverified(f"stripe-signature holds {len(times)} timestamps and not one")
        self.check_time(times[0], request.now_ms)
        signatures = [value for key, _, value in pairs if key == "v1"]
        if not signatures:
            raise Unverified("stripe-signature holds no v1 signature")
        content = f"{times[0]}.".encode() + request.body
        right = [
            hmac_sha256(secret.encode(errors="surrogatepass"), content).hex().encode()
            for secret in usable(secrets)
        ]
        require_match(signatures, right)
        event = top_level(request.body)
        name = event_id(event.get("id"))
        return Verified(name, content=None if name is None else _content(event))


def _content(event: dict[str, object]) -> bytes:
    import json  # late: `import ksl` stays cheap

    kept = {key: value for key, value in event.items() if key not in _OF_THE_ATTEMPT}
    return json.dumps(kept, sort_keys=True).encode()
