"""A token that the sender repeats with each delivery."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ksl.errors import MalformedTrigger, Unverified
from ksl.trigger.verify.request import SignedRequest, Verified
from ksl.trigger.verify.scheme import HoldsSecret, Scheme, checked_id, require_match, usable

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class SharedToken(Scheme):
    """The weakest scheme, for senders that cannot sign: the body is not covered, and whoever sees one delivery
    has the token.

    It is taken from exactly one of: `Authorization: Bearer ...`, the header `header`, the query parameter
    `query` (which proxies tend to write into their logs); None closes the latter two. `delivery_header` names
    the header in which the sender repeats a delivery's id, if it has one.
    """

    def __init__(
        self,
        credential: HoldsSecret | Sequence[HoldsSecret],
        *,
        header: str | None = "X-Webhook-Token",
        query: str | None = "token",
        delivery_header: str | None = None,
    ) -> None:
        super().__init__(credential)
        self.header = _header_name(header, "header")
        self.query = query
        self.delivery_header = _header_name(delivery_header, "delivery_header")

    def verify(self, request: SignedRequest, secrets: Sequence[str]) -> Verified:
        given = self._given(request)
        # Digests are equally long, so the comparison does not tell how long the token is.
        require_match(
            [_digest(given)], [_digest(secret).encode() for secret in usable(secrets)], what="token"
        )
        if self.delivery_header is None:
            return Verified(None)
        delivery = request.optional(self.delivery_header)
        return Verified(None if delivery is None else checked_id(delivery, what=self.delivery_header))

    def _given(self, request: SignedRequest) -> str:
        found: list[str] = []
        for value in request.headers.get("authorization", ()):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == "bearer":
                found.append(token.strip(" "))
        if self.header is not None and self.header != "authorization":
            found += request.headers.get(self.header, ())
        if self.query is not None:
            found += request.query.get(self.query, ())
        if len(found) != 1:
            raise Unverified("the token is missing" if not found else f"a token came {len(found)} times")
        return found[0]


def _digest(token: str) -> str:
    from hashlib import sha256  # late: `import ksl` stays cheap

    return sha256(token.encode(errors="surrogatepass")).hexdigest()


def _header_name(name: str | None, what: str) -> str | None:
    if name is not None and _HEADER_NAME.fullmatch(name) is None:
        raise MalformedTrigger(f"SharedToken({what}={name!r}): that is not the name of a header.")
    return name.lower() if name is not None else None
