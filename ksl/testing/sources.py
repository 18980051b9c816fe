"""Sources in an environment: fired by the test, or by the time that it lets pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ksl.define.cron import CronSource
from ksl.define.poll import PollSource
from ksl.define.source import Source
from ksl.errors import DuplicateSlug
from ksl.records import FiringRow
from ksl.testing.definitions import Definitions
from ksl.testing.handles import RunHandle
from ksl.testing.machine import Machine, at_once
from ksl.testing.shown import Shown, json_text
from ksl.trigger.firing import Item
from ksl.trigger.poll import UNGIVEN
from ksl.views.triggers import firing_json

BY = "test"


class FiringView(Shown):
    """One time a source fired; the JSON of `GET /triggers/{slug}/runs`, with `runs` as handles."""

    runs: list[RunHandle[Any]]

    @property
    def verdict(self) -> str:
        """started, skipped or failed"""
        return self["verdict"]

    @property
    def reason(self) -> str | None:
        return self["reason"]

    @property
    def triggered_at(self) -> str:
        return self["triggered_at"]

    @property
    def payload(self) -> Any:
        return self["payload"]

    @property
    def skipped(self) -> int:
        """Ticks before it that it stands for."""
        return self["skipped"]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return self["errors"]


class Sources:
    def __init__(
        self,
        definitions: Definitions,
        machine: Callable[[], Machine],
        handle: Callable[[Any, str], RunHandle[Any]],
    ) -> None:
        self._definitions = definitions
        self._machine = machine
        self._handle = handle

    def watch(self, source: Source) -> None:
        """Time fires it from now on. Errors: DuplicateSlug; MalformedTrigger and others of `Source.prepare`."""
        self._know(source)
        known = self._definitions.project.triggers.setdefault(source.slug, source)
        if known is not source:
            raise DuplicateSlug(
                f"two sources of this environment have the slug {source.slug!r}: {known.place} and {source.place}. "
                "Give one of them another slug."
            )
        source.prepare()

    async def fire(self, source: Source, payload: Any) -> list[FiringView]:
        """Errors: InvalidInput, PollFailed."""
        self._know(source)
        runtime = self._machine().runtime
        if isinstance(source, PollSource):
            rows = await runtime.polls.poll(cast("PollSource[Any]", source), by=BY, given=payload)
        else:
            if isinstance(source, CronSource) and payload is UNGIVEN:
                data = source.data
            else:
                data = json_text(None if payload is UNGIVEN else payload)
            rows = [(await runtime.triggers.fire(source, [Item(data)], by=BY)).row]
        return [self._view(row) for row in rows]

    def firings(self, source: Source) -> list[FiringView]:
        """Oldest first."""
        page = at_once(self._machine().store.triggers.firings(source.slug, limit=1_000_000))
        return [self._view(row) for row in reversed(page.rows)]

    async def subscribe(self, workflow: Any, subscriber: str) -> None:
        self._definitions.add(workflow)
        await self._machine().runtime.triggers.standing.subscribe(workflow.slug, subscriber, by=BY)

    def _know(self, source: Source) -> None:
        for attachment in source.attachments:
            self._definitions.add(attachment.workflow)

    def _view(self, row: FiringRow) -> FiringView:
        view = FiringView(firing_json(row))
        workflows = self._definitions.project.workflows
        view.runs = [self._handle(workflows[run.workflow], run.run_id) for run in row.runs]
        return view
