"""What a test reads: the JSON of the HTTP interface, with its fields as attributes too.

They are dicts, so a test compares them with plain ones: `run.events[0] == {...}`, `run.error["type"]`.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from ksl.records import Event, RunRow
from ksl.views.events import event_json
from ksl.views.values import items_of, value_of


class Shown(dict[str, Any]):
    """A JSON object."""


class EventView(Shown):
    """One event of a run, as `GET /runs/{id}/events` gives it."""

    @property
    def seq(self) -> int:
        return self["seq"]

    @property
    def type(self) -> str:
        return self["type"]

    @property
    def step(self) -> str | None:
        """ "step:charge-card#0" """
        return self["step"]

    @property
    def at(self) -> str:
        return self["at"]

    @property
    def data(self) -> Any:
        return self["data"]

    @property
    def input(self) -> Any:
        """Of a step; None where none was recorded."""
        return self.get("input")

    @property
    def meta(self) -> dict[str, Any]:
        return self.get("meta", {})


class Failure(Shown):
    """A run's error: `str()` is "ValueError: no such card"."""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"

    @property
    def type(self) -> str:
        return self.get("type", "")

    @property
    def message(self) -> str:
        return self.get("message", "")

    @property
    def step(self) -> str | None:
        """The bare id of the step whose failure it was, if it was one's."""
        return self.get("step")

    @property
    def attempts(self) -> int:
        return self.get("attempts", 1)

    @property
    def code(self) -> str | None:
        """Of an error of ksl's own: "KSL401"."""
        return self.get("code")

    @property
    def traceback(self) -> str:
        return self.get("traceback", "")


class Waiting(Shown):
    """Something a run waits for."""

    @property
    def kind(self) -> str:
        """ "hook", "sleep", "timer" (asyncio's own, in the body) or "retry"."""
        return self["kind"]

    @property
    def step(self) -> str:
        """The bare id."""
        return self["step"]

    @property
    def due(self) -> str | None:
        return self.get("due")

    @property
    def name(self) -> str | None:
        return self.get("name")

    @property
    def title(self) -> str | None:
        return self.get("title")


def event_view(event: Event) -> EventView:
    return EventView(event_json(event))


def failure_of(events: list[Event]) -> Failure | None:
    """Why the run failed or is held, if its newest event says so."""
    last = events[-1] if events else None
    if last is None or last.type not in ("run_failed", "run_held"):
        return None
    return Failure(value_of(last.data))


def waiting_of(row: RunRow) -> list[Waiting]:
    return [Waiting(item) for item in items_of(row.waiting_on)]


def json_text(value: Any) -> bytes:
    """Strict JSON of what a test passes: plain values, models, dataclasses. NaN is written as NaN, to be refused."""
    return to_json(value, inf_nan_mode="constants", by_alias=True)
