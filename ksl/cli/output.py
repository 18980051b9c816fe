"""Data on stdout: JSON for programs, compact text for people."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from ksl.cli.redaction import REDACTOR

Json = dict[str, Any]
_COLUMN_MIN = 24  # characters that words are worth breaking at


def emit_json(value: object, *, one_line: bool = True) -> None:
    """One document and a newline. Bytes, so that the encoding of the terminal or locale has no say."""
    text = json.dumps(REDACTOR.value(value), ensure_ascii=False, indent=None if one_line else 2)
    if sys.stdout.isatty() and not text.isprintable():
        text = "".join(map(_escaped, text))
    click.echo(text.encode("utf-8", "backslashreplace"))


def emit_document(value: object, *, prints_json: bool) -> None:
    """JSON either way; indented where a person reads."""
    emit_json(value, one_line=prints_json and not sys.stdout.isatty())


def emit_told(value: object, told: Callable[[], Iterable[str]], *, prints_json: bool) -> None:
    """What a command did: the JSON of it for programs, the lines that `told` makes for people."""
    if prints_json:
        emit_document(value, prints_json=True)
        return
    for line in told():
        emit_text(printable(REDACTOR.text(line)))


def emit_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, none: str = "", wraps: bool = False
) -> None:
    """Columns as wide as their longest cell; the last one is cut at the terminal's edge, or `wraps` there.

    Without rows it says `none`, on stderr.
    """
    if not rows and none:
        click.echo(none, err=True)
        return
    table = [list(headings), *([printable(REDACTOR.text(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    edge = terminal_width()
    for row in table:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if wraps:
            click.echo(_wrapped(line, edge, indent=sum(widths[:-1]) + 2 * (len(widths) - 1)))
        else:
            click.echo(shortened(line, edge))


def _wrapped(line: str, edge: int, *, indent: int) -> str:
    """What stands behind `indent` goes on below itself; a column too narrow for that is left to the terminal."""
    if len(line) <= edge or edge - indent < _COLUMN_MIN:
        return line
    margin = " " * indent
    return textwrap.fill(line[indent:], edge, initial_indent=line[:indent], subsequent_indent=margin)


def terminal_width() -> int:
    """In columns."""
    return shutil.get_terminal_size((120, 24)).columns


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(length - 1, 0)] + "…"


def compact(value: object, length: int = 100) -> str:
    """A JSON value in at most `length` characters, for a line that a person scans."""
    return shortened(json.dumps(REDACTOR.value(value), ensure_ascii=False), length)


def emit_text(text: str) -> None:
    """As it is; but a terminal must neither obey a stranger's data nor turn it round."""
    if sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))
    click.echo(text.encode("utf-8", "backslashreplace"))


def _escaped(char: str) -> str:
    """The same JSON, since such characters stand in its strings only."""
    return char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1]


def printable(text: str) -> str:
    """On one line, without control characters: listing a stranger's data must not move the cursor."""
    return "".join(char if char.isprintable() else "�" for char in text.replace("\n", " "))
