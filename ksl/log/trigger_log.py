"""What is asked of the log about triggers. Answers see what is committed, nothing newer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ksl.log.store import Page
from ksl.records import FiredKey, FiringRow, Recipient, RunRow, SourceState, SubscriptionRow, Switch, Verdict


class TriggerLog(Protocol):
    """Errors: those of `ksl.log.store.Store`."""

    async def firing(self, firing_id: str) -> FiringRow | None: ...

    async def firings(
        self, source: str, *, verdict: Verdict | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[FiringRow]:
        """Newest first. Errors: BadRequest for a cursor that no page held."""
        ...

    async def newest_firings(self, sources: Sequence[str], *, limit: int) -> dict[str, list[FiringRow]]:
        """Of each source, newest first, without their payloads. One question for all of them."""
        ...

    async def keys(self, source: str, keys: Sequence[str], *, now_ms: int) -> dict[str, FiredKey]:
        """Those of the keys that are taken and have not expired."""
        ...

    async def states(self) -> dict[str, SourceState]: ...

    async def disabled(self) -> list[Switch]: ...

    async def subscriptions(self) -> list[SubscriptionRow]:
        """In the order in which they were made."""
        ...

    async def refusals(self) -> dict[str, int]:
        """Deliveries ever refused, by source."""
        ...

    async def unfinished(self, source: str, recipient: Recipient) -> list[RunRow]:
        """Runs of the recipient that firings of the source started, oldest first."""
        ...

    async def prune(self, before_ms: int, *, now_ms: int, limit: int) -> bool:
        """Deletes firings before the moment and keys that have expired, at most `limit` of each. True while
        there may be more. Errors: as `Store.prune`."""
        ...
