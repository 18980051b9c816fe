"""What models say in a run, written to a terminal as it comes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from ksl.cli.output import Json, printable
from ksl.cli.progress import Progress
from ksl.cli.redaction import REDACTOR


class Speaking:
    """Takes the texts of `Reader.follow(text=True)`. Words of another turn begin a new line."""

    def __init__(self, stream: TextIO | None = None, *, before: Callable[[], object] = lambda: None) -> None:
        """`before` clears what else is on the line."""
        self._stream = stream or sys.stdout
        self._before = before
        self.at_line_start = True
        self._step = ""  # whose words were written last
        self._written: dict[str, str] = {}  # by step, of its newest attempt

    def take(self, text: Json, *, label: str = "") -> None:
        step, delta = text["step"], text["delta"]
        if text["offset"] == 0:
            if self._written.get(step):
                self._end_line()
                self._write(f"(broke off; attempt {text['attempt']})\n")
            self._written[step] = ""
        if not delta:
            return
        if step != self._step:
            self._end_line()
            self._step = step
            self._write(label)
        self._write(delta)
        self._written[step] = self._written.get(step, "") + delta

    def finish(self, step: str, whole: str) -> None:
        """The turn as it was recorded: what was not written of it yet."""
        written = self._written.pop(step, "")
        if whole != written:
            if not whole.startswith(written) or step != self._step:
                self._end_line()
                written = ""
            self._write(whole[len(written) :])
        self._end_line()

    def line(self, text: str) -> None:
        self._end_line()
        self._write(printable(text) + "\n")
        self._step = ""

    def _end_line(self) -> None:
        if not self.at_line_start:
            self._write("\n")
        self._step = ""

    def _write(self, text: str) -> None:
        if not text:
            return
        self._before()
        # A terminal must not obey a model. Tabs and line breaks are all that it may have of that kind.
        self._stream.write("\n".join(printable(line) for line in REDACTOR.text(text).split("\n")))
        self._stream.flush()
        self.at_line_start = text.endswith("\n")


class Between(Progress):
    """A line on what the run does, where no words are on the terminal's last line."""

    def __init__(self, out: TextIO | None = None, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self.speaking = Speaking(out, before=self.clear)
        self._is_on_line = False

    def show(self, run: Json, elapsed_s: float) -> None:
        if self.speaking.at_line_start:
            super().show(run, elapsed_s)
            self._is_on_line = self.live and self.shown_at_s is not None

    def clear(self) -> None:
        """Words that were written are not cleared."""
        if self._is_on_line:
            super().clear()
            self._is_on_line = False
