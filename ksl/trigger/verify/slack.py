"""Slack: `X-Slack-Signature` and `X-Slack-Request-Timestamp`."""

from __future__ import annotations

from collections.abc import Sequence

from ksl.trigger.verify.request import SignedRequest, Verified
from ksl.trigger.verify.scheme import TimedScheme, event_id, hmac_sha256, require_match, usable


class Slack(TimedScheme):
    """For events, shortcuts and slash commands. An event is named by the `event_id` in its body; the others,
    which come as forms, have no name, and Slack does not repeat them."""

    def verify(self, request: SignedRequest, secrets: Sequence[str]) -> Verified:
        given = request.header("x-slack-signature")
        sent_at = request.header("x-slack-request-timestamp")
        self.check_time(sent_at, request.now_ms)
        content = f"v0:{sent_at}:".encode() + request.body
        right = [
            b"v0=" + hmac_sha256(secret.encode(errors="surrogatepass"), content).hex().encode()
            for secret in usable(secrets)
        ]
        require_match([given], right)
        return Verified(event_id(request.body, "event_id"))
