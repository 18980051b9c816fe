"""One run on one line, and the heading over such lines: what there is room for, in columns."""

from __future__ import annotations

from rich.text import Text

from ksl.tui import safe, words
from ksl.tui.run_rows import Order, RunLine

WITH_START = 60  # cells from which on it is told when a run started
WITH_TRIGGER = 96  # and how
_COLUMNS: dict[Order, str] = {"started": "started", "took": "took", "workflow": "workflow", "state": ""}


class RunColumns:
    def __init__(self, look: words.Look, width: int) -> None:
        self._look = look
        self._width = width
        self._name = 16 if width < WITH_START else 22 if width < WITH_TRIGGER else 26 if width < 140 else 34

    def heading(self, order: Order) -> str:
        """With a sign at the column that the lines are in order of."""
        sign = " " * (len(self._look.states["running"]) + 3)
        cells = [sign, safe.padded("run", 9), safe.padded(self._title("workflow", order), self._name)]
        if self._width >= WITH_TRIGGER:
            cells.append(safe.padded("by", 8))
        if self._width >= WITH_START:
            cells.append(safe.padded(self._title("started", order), 9))
        return "".join([*cells, safe.padded(self._title("took", order), 9), "now at"])

    def _title(self, column: Order, order: Order) -> str:
        return f"{column}{self._look.down}" if column == order and order != "started" else column

    def line(self, run: RunLine, width: int, now_ms: int, *, marked: bool, fallen: bool) -> Text:
        """`fallen`: it is shown though the filter does not mean it any more."""
        look, state = self._look, run.state
        colour = words.COLOURS.get(state, "")
        text = Text(style="dim" if fallen else "")
        text.append("x " if marked else "  ")
        text.append(f"{look.states.get(state, '?')} ", colour)
        text.append(safe.padded(safe.line(run.run_id)[-8:], 9), "dim")
        text.append(safe.padded(safe.line(run.workflow, self._name - 1), self._name))
        if self._width >= WITH_TRIGGER:
            text.append(safe.padded(run.trigger, 8), "dim")
        if self._width >= WITH_START:
            text.append(safe.padded(words.ago(words.moment(run.triggered_at), now_ms), 9), "dim")
        text.append(safe.padded(self._took(run, now_ms), 9))
        room = max(width - text.cell_len, 0)
        text.append(safe.line(run.now_at(now_ms), room) if room else "", colour)
        return text

    def _took(self, run: RunLine, now_ms: int) -> str:
        took_ms = run.took_ms(now_ms)
        if took_ms is None:
            return ""
        still = run.finished_at is None
        return words.took(took_ms) + (self._look.glyphs.more[:1] if still else "")
