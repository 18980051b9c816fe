"""Slack: `X-Slack-Signature` and `X-Slack-Request-Timestamp`."""

from __future__ import annotations

from collections.abc import Sequence

from ksl.trigger.verify.request import SignedRequest, Verified
from ksl.trigger.verify.scheme import TimedScheme, event_id, hmac_sha256, require_match, top_level, usable

CHALLENGE_MAX = 200  # characters; Slack's have about fifty


class Slack(TimedScheme):
    """For events, shortcuts and slash commands. An event is named by the `event_id` in its body; the others,
    which come as forms, have no name, and Slack does not repeat them. When an address is first entered, Slack sends
    a `challenge` and wants to read it in the answer."""

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
        body = top_level(request.body)
        challenge = body.get("challenge")
        if body.get("type") == "url_verification" and isinstance(challenge, str):
            return Verified(challenge=challenge[:CHALLENGE_MAX])
        return Verified(event_id(body.get("event_id")))
