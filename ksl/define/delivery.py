"""What came with a webhook's payload, for filters and transforms that ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery to `POST /triggers/{endpoint}`.

    `headers` has lower-case names; of a header or query parameter that came several times it has the last.
    `body` is the body as it came, before any parsing. `delivery_id` is the sender's id of the delivery where the
    source verifies one.
    """

    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    received_at: datetime
    delivery_id: str | None = None
