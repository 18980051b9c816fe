"""The pane of a run's timeline, with its axis above it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical

from ksl.tui.frame import Line
from ksl.tui.lines import Lines
from ksl.tui.timeline import Drawing, Row, rows_of
from ksl.tui.words import Json, Look
from ksl.views.timeline import GROUPED, Track, grouped, tracks


class TimelinePane(Vertical):
    def __init__(self) -> None:
        super().__init__(id="timeline-pane", classes="pane")
        self.border_title = "timeline"
        self.rows: list[Row] = []
        self.hiding = False  # what simply succeeded
        self.true_scale = False

    def compose(self) -> ComposeResult:
        yield Line(id="axis", classes="dim")
        yield Lines(id="timeline")

    @property
    def lines(self) -> Lines:
        return self.query_one("#timeline", Lines)

    def show(self, steps: Sequence[Json], spans: Sequence[Json], look: Look, *, now_ms: int) -> None:
        found: list[Track] = tracks(steps, spans, now_ms=now_ms)
        rows = rows_of(grouped(found) if len(found) > GROUPED else found)
        if self.hiding:
            rows = [row for row in rows if row.state != "succeeded" or row.tries > 1]
        self.rows = rows
        drawing = Drawing(rows, max(self.lines.size.width - 1, 10), look, true=self.true_scale)
        axis = self.query_one("#axis", Line)
        if not rows:
            told = "Everything that is recorded is done." if self.hiding else "No step is recorded yet."
            axis.show("")
            self.lines.show([None], lambda _place, _width: Text(told, "dim"))
            return
        axis.show(drawing.axis())
        keys = [f"{row.key}@{place}" for place, row in enumerate(rows)]
        self.lines.show(keys, lambda place, _width: drawing.painted(rows[place]))

    def select(self, step: str) -> None:
        """The first row of a step, or the one that stands for it."""
        wanted = next((key for key in self.lines.keys if key and step_of(key) == step), None)
        self.lines.select(wanted)


def step_of(key: str) -> str:
    """Rows of one step are told apart by their place."""
    return key.rpartition("@")[0]
