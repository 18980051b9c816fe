"""`TriggerLog` without a file, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from msgspec.structs import replace

from ksl.log.cursor import place
from ksl.log.store import Page
from ksl.log.trigger_rows import REJECTED_MAX, TriggerRows
from ksl.log.trigger_tables import taken
from ksl.records import (
    FINISHED,
    Event,
    FiredKey,
    FiringRow,
    Recipient,
    RunRow,
    SourceState,
    SubscriptionRow,
    Switch,
    Verdict,
)


class MemoryTriggers:
    """See `ksl.log.trigger_log.TriggerLog`. `created` gives the unfinished runs, each with its first event."""

    def __init__(self, created: Callable[[], Iterable[tuple[RunRow, Event]]]) -> None:
        self._created = created
        self._firings: dict[int, FiringRow] = {}  # by place, in order
        self._places = 0
        self._keys: dict[tuple[str, str], FiredKey] = {}
        self._states: dict[str, SourceState] = {}
        self._disabled: dict[tuple[str, str], Switch] = {}
        self._subscriptions: dict[str, SubscriptionRow] = {}
        self._refusals: dict[str, int] = {}

    def check(self, added: TriggerRows) -> None:
        """Errors: KeyTaken; nothing is stored then."""
        seen: set[tuple[str, str]] = set()
        for key in added.keys:
            known = self._keys.get((key.source, key.key))
            if (known is not None and _is_alive(known, added.at_ms)) or (key.source, key.key) in seen:
                raise taken(key)
            seen.add((key.source, key.key))

    def store(self, added: TriggerRows) -> None:
        for key in added.keys:
            self._keys[key.source, key.key] = key
        for firing in added.firings:
            self._places += 1
            self._firings[self._places] = firing
        for state in added.states:
            self._states[state.source] = state
        for switch in added.switches:
            self._disabled.pop((switch.source, switch.workflow), None)
            if not switch.enabled:
                self._disabled[switch.source, switch.workflow] = switch
        for subscription in added.subscriptions:
            self._subscriptions[subscription.subscription_id] = subscription
        for subscription_id in added.unsubscribed:
            self._subscriptions.pop(subscription_id, None)
        for source, count in added.refused.items():
            self._refusals[source] = self._refusals.get(source, 0) + count
            rejected = [at for at, firing in self._firings.items() if _is_rejected(firing, source)]
            for at in rejected[:-REJECTED_MAX]:
                del self._firings[at]

    def sizes(self) -> dict[str, int]:
        return {"firing": len(self._firings), "fired_key": len(self._keys)}

    async def firing(self, firing_id: str) -> FiringRow | None:
        return next((each for each in self._firings.values() if each.firing_id == firing_id), None)

    async def firings(
        self, source: str, *, verdict: Verdict | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[FiringRow]:
        before = place(cursor)
        matching = (
            (at, firing)
            for at, firing in reversed(self._firings.items())
            if at < before and firing.source == source and verdict in (None, firing.verdict)
        )
        found = list(islice(matching, limit + 1))
        more = len(found) > limit > 0
        return Page([firing for _, firing in found[:limit]], str(found[limit - 1][0]) if more else None)

    async def newest_firings(self, sources: Sequence[str], *, limit: int) -> dict[str, list[FiringRow]]:
        pages = {source: await self.firings(source, limit=limit) for source in sources}
        return {source: [replace(row, payload=None) for row in page.rows] for source, page in pages.items()}

    async def keys(self, source: str, keys: Sequence[str], *, now_ms: int) -> dict[str, FiredKey]:
        found = {key: self._keys[source, key] for key in keys if (source, key) in self._keys}
        return {key: known for key, known in found.items() if _is_alive(known, now_ms)}

    async def states(self) -> dict[str, SourceState]:
        return dict(self._states)

    async def disabled(self) -> list[Switch]:
        return list(self._disabled.values())

    async def subscriptions(self) -> list[SubscriptionRow]:
        return list(self._subscriptions.values())

    async def refusals(self) -> dict[str, int]:
        return dict(self._refusals)

    async def unfinished(self, source: str, recipient: Recipient) -> list[RunRow]:
        return [
            run
            for run, first in self._created()
            if (run.workflow, run.subscriber) == (recipient.workflow, recipient.subscriber)
            and run.status not in FINISHED
            and first.meta is not None
            and first.meta.source == source
        ]

    async def prune(self, before_ms: int, *, now_ms: int, limit: int) -> bool:
        oldest = list(self._firings.items())[:limit]
        old = [at for at, firing in oldest if firing.at_ms < before_ms]
        for at in old:
            del self._firings[at]
        expired = [key for key, known in self._keys.items() if not _is_alive(known, now_ms)][:limit]
        for key in expired:
            del self._keys[key]
        return limit in (len(old), len(expired))


def _is_alive(key: FiredKey, now_ms: int) -> bool:
    return key.expires_ms is None or key.expires_ms > now_ms


def _is_rejected(firing: FiringRow, source: str) -> bool:
    return firing.source == source and firing.verdict == "rejected"
