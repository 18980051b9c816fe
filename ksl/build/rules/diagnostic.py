"""What a rule found, at a place that an editor can go to."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's own words about a node. Without a severity it has that of the rule, and so with the code."""

    node: ast.AST
    message: str
    fix: str
    severity: Severity | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """Lines and columns count from 1, columns in characters; the end is the first column after the text."""

    file: str  # relative to the project folder
    line: int
    col: int
    code: str
    severity: Severity
    end_line: int
    end_col: int
    message: str
    fix: str
    source: str  # the line as it is in the file; empty when it is too long to read


class Lines:
    """The lines of a file as the parser counts them, which is not as `str.splitlines` does."""

    __slots__ = ("_lines",)

    def __init__(self, text: str) -> None:
        self._lines = re.split(r"\r\n|\r|\n", text)

    def __getitem__(self, number: int) -> str:
        """The line of that number, from 1; "" beyond the end."""
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def column(self, number: int, offset: int) -> int:
        """From the UTF-8 bytes before a place, as `ast` counts, to its column in characters, from 1."""
        line = self[number]
        if line.isascii():
            return offset + 1
        return len(line.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "replace")) + 1
