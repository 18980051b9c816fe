"""A model's text while it comes: lines of the run's log, which are kept in memory and never stored."""

from __future__ import annotations

from typing import Any

LINE_MAX = 200  # characters


class Telling:
    """Takes pieces as they come and tells whole lines, or what has come of a long one."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._line = ""

    def add(self, piece: str) -> None:
        *lines, self._line = f"{self._line}{piece}".split("\n")
        for line in lines:
            self._tell(line)
        if len(self._line) > LINE_MAX:
            self.end()

    def end(self) -> None:
        line, self._line = self._line, ""
        self._tell(line)

    def _tell(self, line: str) -> None:
        if line:
            self._log.info(line, progress=True, said=True)
