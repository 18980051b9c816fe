"""An error as lines: what, then where, the author's own code first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from ksl.tui import safe, words
from ksl.tui.words import Json
from ksl.views.frames import frames_json

# Of a message, so that the lines of source below it are still to be seen; enter shows all of it.
SHOWN = 40  # lines
LONG = 600  # characters of one


def error_lines(error: Json | None, folder: Path | None = None) -> Iterator[Text]:
    """`folder`: the project's, where it is on this machine; files are named from there."""
    if not error:
        yield Text("No error.", "dim")
        return
    head = " ".join(filter(None, [str(error.get("code") or ""), str(error.get("type") or "")]))
    message = str(error.get("message", error.get("reason", "")))
    first, *rest = [safe.line(each, LONG) for each in message.splitlines()[:SHOWN]] or [""]
    yield Text.assemble((safe.line(head), "bold red"), ": " if head else "", first)
    for each in rest:
        yield Text(f"  {each}")
    if error.get("attempts"):
        yield Text(f"after {words.count(int(error['attempts']), 'attempt')}", "dim")
    yield Text()
    for frame in _frames(error, folder):
        style = "bold" if frame["own"] else "dim"
        yield Text(safe.line(f"  {frame['file']}:{frame['line']} in {frame['function']}"), style)
        if frame["code"]:
            yield Text(safe.line(f"    {frame['code']}"), "" if frame["own"] else "dim")
    cause = error.get("cause")
    if isinstance(cause, dict):
        yield Text()
        yield Text("caused by", "dim")
        yield from error_lines(cause, folder)  # pyright: ignore[reportUnknownArgumentType]


def place_of(error: Json | None, folder: Path | None = None) -> tuple[str, int] | None:
    """File and line of the author's code that raised."""
    own = next((frame for frame in _frames(error or {}, folder) if frame["own"]), None)
    return None if own is None else (own["file"], own["line"])


def _frames(error: Json, folder: Path | None) -> list[Json]:
    """Where it was raised comes first, and the author's code before that of libraries."""
    frames = frames_json(str(error.get("traceback") or ""), folder)
    return sorted(frames, key=lambda frame: not frame["own"])
