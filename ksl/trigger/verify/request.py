"""What a scheme looks at, and what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ksl.errors import Unverified


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A delivery as it came: `headers` by lower-case name and `query` by name, each with all its values in
    order; `body` byte for byte, since another spelling of the same JSON has another signature."""

    headers: Mapping[str, Sequence[str]]
    query: Mapping[str, Sequence[str]]
    body: bytes
    now_ms: int

    @classmethod
    def of(
        cls,
        headers: Iterable[tuple[str, str]],
        query: Iterable[tuple[str, str]] = (),
        *,
        body: bytes,
        now_ms: int,
    ) -> SignedRequest:
        """From pairs as a server has them; the case of a header's name does not count."""
        return cls(_grouped((name.lower(), value) for name, value in headers), _grouped(query), body, now_ms)

    def header(self, name: str) -> str:
        """The value of a header that must be there once. Errors: Unverified."""
        value = self.optional(name)
        if value is None:
            raise Unverified(f"the header {name} is missing")
        return value

    def optional(self, name: str) -> str | None:
        """The value of a header that may be missing. One that came twice is refused: a proxy and the server
        could each take another one for the true one. Errors: Unverified."""
        values = self.headers.get(name, ())
        if len(values) > 1:
            raise Unverified(f"the header {name} came {len(values)} times")
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Verified:
    """The sender knows a secret. `delivery_id` is equal on every attempt at the same delivery, if it has one, and so is
    `content`: None means the body. With `challenge` it is no delivery: the sender asks whether the address is the
    receiver's, and wants to read this."""

    delivery_id: str | None = None
    challenge: str | None = None
    content: bytes | None = field(default=None, compare=False)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped
