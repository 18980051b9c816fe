"""A log in memory that a test fills by hand, for `execute`."""

from __future__ import annotations

from typing import Any

from ksl.records import EVENT_TYPES, Event, EventType
from ksl.testing.clock import START
from ksl.testing.shown import EventView, event_view, json_text

_START_MS = round(START.timestamp() * 1000)


class MemoryEventLog:
    """Events by run. What `execute` adds is in it afterwards."""

    def __init__(self) -> None:
        self._runs: dict[str, list[Event]] = {}

    def append(
        self, run_id: str, type: EventType, *, step: str | None = None, data: Any = None, input: Any = None
    ) -> EventView:
        """An event at the end of the run's history. `step` is "step:research-signup#0" or the bare id; `data`
        what the event type carries: the output of a `step_completed`, the payload of a `hook_resumed`, the
        error's "type" and "message" of a `step_failed`. An `input` is compared with what the code asks with."""
        if type not in EVENT_TYPES:
            raise ValueError(f"there is no event type {type!r}; known are {', '.join(sorted(EVENT_TYPES))}")
        if (step is None) != type.startswith("run_"):
            raise ValueError(
                f"{type}: an event of a step names it, an event of a run does not; step={step!r}"
            )
        history = self._runs.setdefault(run_id, [])
        event = Event(
            run_id,
            len(history) + 1,
            type,
            None if step is None else step.removeprefix("step:"),
            history[-1].at_ms if history else _START_MS,
            json_text(data),
            None if input is None else json_text(input),
        )
        history.append(event)
        return event_view(event)

    def events(self, run_id: str) -> list[EventView]:
        return [event_view(event) for event in self._runs.get(run_id, ())]

    @property
    def run_ids(self) -> list[str]:
        return list(self._runs)

    def recorded(self, run_id: str) -> list[Event]:
        """As the engine has them."""
        return list(self._runs.get(run_id, ()))

    def replace(self, run_id: str, events: list[Event]) -> None:
        self._runs[run_id] = list(events)
