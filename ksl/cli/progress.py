"""What a long run is doing, on stderr: one live line on a terminal, else a plain line now and then."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from ksl.cli.output import Json, printable, shortened
from ksl.cli.words import next_attempt, step_of, waits_of

SILENT_S = 1.0  # a run that ends before this gets no line at all
PLAIN_EVERY_S = 10.0


class Progress:
    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.shown_at_s: float | None = None
        self.completed = 0
        self.newest = ""
        self._failed: dict[str, str] = {}  # by step, the run's own as "": what its newest attempt failed with

    def saw(self, event: Json) -> None:
        if event["type"] in ("step_completed", "sleep_completed", "hook_resumed"):
            self.completed += 1
        if event["type"].endswith("_retrying"):
            data: Json = event.get("data") or {}
            error: Json = data.get("error") or data
            self._failed[step_of(event)] = f"{error.get('type')}: {error.get('message')}"
        if event.get("step"):
            self.newest = f"{step_of(event)} {event['type'].rpartition('_')[2]}"

    def show(self, run: Json, elapsed_s: float) -> None:
        if elapsed_s < SILENT_S:
            return
        if not self.live and self.shown_at_s is not None and elapsed_s - self.shown_at_s < PLAIN_EVERY_S:
            return
        self.shown_at_s = elapsed_s
        text = self._line(run, elapsed_s)
        if self.live:
            # Up to the last column only: a wrapped line could not be taken back.
            text = shortened(text, shutil.get_terminal_size().columns - 1)
            self.stream.write(f"\r\x1b[K{text}")
        else:
            self.stream.write(text + "\n")
        self.stream.flush()

    def clear(self) -> None:
        """Before anything else is written."""
        if self.live and self.shown_at_s is not None:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def _line(self, run: Json, elapsed_s: float) -> str:
        from ksl.define.duration import format_duration
        from ksl.views.now_at import state_of

        waits = [step_of(item) for item in waits_of(run)]
        doing = f"on {', '.join(waits[:3])}" if waits else f"newest: {self.newest}" if self.newest else ""
        done = f"{self.completed} step{'' if self.completed == 1 else 's'} done"
        if soon := next_attempt(run, time.time()):
            why = self._failed.get(step_of(run["retrying"]))
            doing, done = f"{soon}, after {why}" if why else soon, ""  # there must be room for why
        parts = [
            f"{run['run_id']} {state_of(run)}",
            format_duration(int(elapsed_s)),
            done,
            doing,
        ]
        return printable(", ".join(part for part in parts if part))
