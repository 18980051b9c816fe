"""The pane that tells what is known of the step that is chosen, or of the run itself: a tab at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from ksl.tui import safe, words
from ksl.tui.error_lines import error_lines
from ksl.tui.event_lines import event_line, events_of, position_lines
from ksl.tui.frame import TabLine
from ksl.tui.inspection import attempt_lines, span_lines, value_lines
from ksl.tui.lines import Lines
from ksl.tui.words import Json, Look
from ksl.views.agent_steps import used
from ksl.views.lights import node_path

TABS = ("error", "input", "output", "attempts", "trace", "events", "replay")


@dataclass(frozen=True)
class Inspected:
    """`selected`: a step's id, or a node's that no step came to; empty for the run itself."""

    run: Json
    events: Sequence[Json]
    selected: str

    @property
    def step(self) -> Json | None:
        steps: list[Json] = self.run["steps"]
        return next((each for each in steps if each["id"] == self.selected), None)

    @property
    def about(self) -> str:
        step = self.step
        if step is None:
            return "the run" if not self.selected else f"{self.selected}: not reached"
        same = [each["id"] for each in self.run["steps"] if node_path(each["id"]) == node_path(step["id"])]
        which = f"  {same.index(step['id']) + 1} of {len(same)}" if len(same) > 1 else ""
        tries = f"  {step['attempts']} tries" if step["attempts"] > 1 else ""
        use = f"  {told}" if (told := used(step["usage"])) else ""
        return f"{step['id']}  {step['status']}{tries}{use}{which}"

    @property
    def item(self) -> Json:
        """What has the error, the input and the output."""
        return self.step or (self.run if not self.selected else {})


class Inspector(Vertical):
    def __init__(self, look: Look, folder: Path | None) -> None:
        super().__init__(id="inspect-pane", classes="pane")
        self.tab = "error"
        self.position: Json | None = None
        self.of: Inspected | None = None
        self._look = look
        self._folder = folder

    def compose(self) -> ComposeResult:
        yield TabLine(id="inspect-tabs")
        yield Input(placeholder="filter: words of a type, a step, a value", id="event-filter", compact=True)
        yield Lines(id="inspect")

    def on_mount(self) -> None:
        self.filter.display = False

    @property
    def filter(self) -> Input:
        """Of the events."""
        return self.query_one("#event-filter", Input)

    @property
    def lines(self) -> Lines:
        return self.query_one("#inspect", Lines)

    def show(self, of: Inspected) -> None:
        self.of = of
        self.query_one("#inspect-tabs", TabLine).tabs([(name, name.capitalize()) for name in TABS], self.tab)
        self.border_title = safe.line(of.about, 60).replace("[", "(")
        filter = self.filter
        filter.display = self.tab == "events" and (bool(filter.value) or filter.has_focus)
        shown = [*self._shown(of)]
        wide = max((each.cell_len for each in shown), default=0) + 1
        self.lines.show([str(place) for place in range(len(shown))], lambda place, _: shown[place], wide=wide)

    def search(self) -> None:
        """Events are told apart by what is typed, while it is typed."""
        self.filter.display = True
        self.filter.focus()

    def whole(self) -> tuple[str, object] | None:
        """A heading, and all of what a tab shows the beginning of; None where that is everything."""
        assert self.of is not None
        of, name = self.of, self.tab
        values: dict[str, object] = {
            "error": of.item.get("error"),
            "input": of.item.get("input"),
            "output": of.item.get("output"),
            "trace": of.run["trace"],
            "events": self._events(of),
            "replay": self.position,
        }
        value = values.get(name)
        return None if value is None else (f"{name.capitalize()} of {of.about}", value)

    def _shown(self, of: Inspected) -> Iterator[Text]:
        match self.tab:
            case "error":
                yield from error_lines(of.item.get("error"), self._folder)
            case "input":
                yield from value_lines(of.item.get("input"), "No input.")
            case "output":
                yield from value_lines(of.item.get("output"), "No output yet.")
            case "attempts":
                yield from attempt_lines(of.events, of.selected, self._look)
            case "trace":
                yield from span_lines(of.run["trace"]["spans"], of.selected, self._look)
            case "events":
                found = self._events(of)
                if self.filter.value:
                    all = len(events_of(of.events, of.selected, ""))
                    yield Text(f"{len(found):,} of {words.count(all, 'event')}", "dim")
                yield from (event_line(event, 200) for event in found)
            case _:
                if self.position is None:
                    yield Text("n and p step through the run's events, without doing anything again.", "dim")
                else:
                    yield from position_lines(self.position)

    def _events(self, of: Inspected) -> list[Json]:
        return events_of(of.events, of.selected, self.filter.value)

    @on(Input.Changed, "#event-filter")
    def _typed(self) -> None:
        if self.of is not None:
            self.show(self.of)

    @on(Input.Submitted, "#event-filter")
    def _submitted(self) -> None:
        self.leave_filter()

    def leave_filter(self) -> None:
        self.lines.focus()
        self.filter.display = bool(self.filter.value)
