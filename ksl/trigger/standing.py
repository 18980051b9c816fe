"""What people have set beside the code: what is disabled, who is subscribed, and where sources stand.

All of it is few rows, so it is kept in memory as it is stored: read at start, changed after each commit.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ksl.errors import NotSubscribable, UnknownSubscription, UnknownWorkflow
from ksl.log.store import Change, Store
from ksl.log.trigger_rows import TriggerRows
from ksl.records import Recipient, SourceState, SubscriptionRow, Switch
from ksl.trigger.awaited import stored

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.define.source import Source
    from ksl.trigger.clock import Clock

SUBSCRIBER_MAX = 200  # characters


class Standing:
    def __init__(self, *, project: Project, store: Store, clock: Clock) -> None:
        self._project = project
        self._store = store
        self._clock = clock
        self._disabled: dict[tuple[str, str], Switch] = {}
        self._subscriptions: dict[str, SubscriptionRow] = {}
        self._states: dict[str, SourceState] = {}
        self._changing = asyncio.Lock()  # two subscriptions of one user must find each other

    async def load(self) -> None:
        log = self._store.triggers
        self._disabled = {(row.source, row.workflow): row for row in await log.disabled()}
        self._subscriptions = {row.subscription_id: row for row in await log.subscriptions()}
        self._states = await log.states()

    def state(self, source: str) -> SourceState | None:
        """The newest that is stored."""
        return self._states.get(source)

    def moved(self, state: SourceState) -> None:
        """A source's state was stored with a firing."""
        self._states[state.source] = state

    def is_enabled(self, source: str, workflow: str = "") -> bool:
        """Of the source itself, or of its attachment to a workflow alone."""
        return (source, workflow) not in self._disabled

    def disabled(self, source: str, workflow: str = "") -> Switch | None:
        return self._disabled.get((source, workflow))

    def recipients(self, source: Source) -> list[Recipient]:
        """Who gets a run when it fires: every enabled attachment, and of a subscribable workflow every enabled
        subscriber."""
        found: list[Recipient] = []
        for attachment in source.attachments:
            workflow = attachment.workflow
            if not self.is_enabled(source.slug, workflow.slug):
                continue
            if workflow.subscription is None:
                found.append(Recipient(workflow.slug))
            else:
                found += [Recipient(row.workflow, row.subscriber) for row in self._enabled(workflow.slug)]
        return found

    def why_nobody(self, source: Source) -> str:
        """In words, where `recipients` is empty."""
        if not source.attachments:
            return "no workflow is attached"
        if not any(self.is_enabled(source.slug, each.workflow.slug) for each in source.attachments):
            return "every attachment is disabled"
        return "nobody is subscribed"

    async def switch(self, source: Source, workflow: str, *, enabled: bool, by: str) -> Switch:
        """Enables or disables a source, or one attachment. It is stored, and survives restarts and edits."""
        row = Switch(source.slug, workflow, enabled, self._clock.now_ms(), by)

        def done() -> None:
            self._disabled.pop((row.source, row.workflow), None)
            if not enabled:
                self._disabled[row.source, row.workflow] = row

        await self._put(TriggerRows(row.at_ms, switches=[row]), done)
        return row

    def subscriptions(self, workflow: str | None = None) -> list[SubscriptionRow]:
        """In the order in which they were made."""
        return [row for row in self._subscriptions.values() if workflow in (None, row.workflow)]

    def subscription(self, subscription_id: str) -> SubscriptionRow:
        """Errors: UnknownSubscription."""
        row = self._subscriptions.get(subscription_id)
        if row is None:
            raise UnknownSubscription(
                f'there is no subscription "{subscription_id}". `ksl subscriptions list` shows those there are. '
                "Nothing was changed."
            )
        return row

    async def subscribe(self, workflow: str, subscriber: str, *, by: str) -> tuple[SubscriptionRow, bool]:
        """The subscription, and whether it is new: a user has one of a workflow at most.

        Errors: UnknownWorkflow, NotSubscribable.
        """
        self._check(workflow, subscriber)
        async with self._changing:
            for known in self.subscriptions(workflow):
                if known.subscriber == subscriber:
                    return known, False
            now_ms = self._clock.now_ms()
            row = SubscriptionRow(f"sub_{secrets.token_hex(8)}", workflow, subscriber, True, now_ms, by)
            await self._put_subscription(row)
            return row, True

    async def set_enabled(self, subscription_id: str, enabled: bool) -> SubscriptionRow:
        """Errors: UnknownSubscription."""
        async with self._changing:
            row = replace(self.subscription(subscription_id), enabled=enabled)
            await self._put_subscription(row)
            return row

    async def unsubscribe(self, subscription_id: str) -> SubscriptionRow:
        """Errors: UnknownSubscription."""
        async with self._changing:
            row = self.subscription(subscription_id)
            await self._put(
                TriggerRows(self._clock.now_ms(), unsubscribed=[subscription_id]),
                lambda: self._forget(subscription_id),
            )
            return row

    def _enabled(self, workflow: str) -> list[SubscriptionRow]:
        return [row for row in self.subscriptions(workflow) if row.enabled]

    def _check(self, slug: str, subscriber: str) -> None:
        workflow = self._project.workflows.get(slug)
        if workflow is None:
            raise UnknownWorkflow(
                f'no workflow has the slug "{slug}". `ksl workflows list` shows those there are. Nothing was changed.'
            )
        if workflow.subscription is None:
            raise NotSubscribable(
                f"workflow {slug} takes no subscriptions. Declare it with "
                '@workflow(subscription="subscribable"). Nothing was changed.'
            )
        if not subscriber.strip() or not subscriber.isprintable() or len(subscriber) > SUBSCRIBER_MAX:
            raise NotSubscribable(
                f"{subscriber[:40]!r} cannot be a subscriber: it is printable text of 1 to {SUBSCRIBER_MAX} "
                "characters. Nothing was changed."
            )

    async def _put_subscription(self, row: SubscriptionRow) -> None:
        def done() -> None:
            self._subscriptions[row.subscription_id] = row

        await self._put(TriggerRows(self._clock.now_ms(), subscriptions=[row]), done)

    def _forget(self, subscription_id: str) -> None:
        self._subscriptions.pop(subscription_id, None)

    async def _put(self, rows: TriggerRows, then: Callable[[], None]) -> None:
        # With the commit, not after it: whoever asked may have given up waiting.
        await stored(self._store, Change(run_id=f"triggers:{secrets.token_hex(8)}", triggers=rows), then=then)
