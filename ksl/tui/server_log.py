"""What a server says of itself, for the System screen: asked of it line by line, or heard where `ksl dev` runs it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from rich.text import Text

from ksl.tui import safe, words
from ksl.tui.client import Client, Json

KEPT = 2_000  # as the server does
PAGE = 500
LEVELS = ("debug", "info", "warning", "error")
SHOWN = {"debug": "everything", "info": "info and graver", "warning": "warnings", "error": "errors"}
_RANKS: Mapping[str, int] = {name: rank for rank, name in enumerate(LEVELS)} | {"critical": 3}
_COLOURS = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}
_HEAD = ("at", "level", "message")


class ServerLog:
    """The newest lines. `heard` is called when one came that was not asked for."""

    def __init__(self) -> None:
        self.lines: deque[Json] = deque(maxlen=KEPT)
        self.first = 0  # number of the oldest line; numbers are never used again
        self.heard: Callable[[], None] | None = None
        self._after: str | None = None

    def tell(self, text: str) -> None:
        """What somebody said, each line by itself; a line of a server's log is read as what it is."""
        for line in text.splitlines():
            self._add(_read(line))
        if self.heard is not None:
            self.heard()

    async def ask(self, client: Client) -> bool:
        """Whether there was something new. Errors: Lost, Refused."""
        news = False
        while True:
            asked = {} if self._after is None else {"after": self._after}
            page = await client.get("/log", limit=PAGE, **asked)
            self._after = page["after"]
            if page["missed"]:
                self._add({"level": "warning", "message": f"{page['missed']:,} lines more were not kept"})
            for line in page["lines"]:
                self._add(line)
            news = news or bool(page["lines"])
            if len(page["lines"]) < PAGE:
                return news

    def numbered(self, level: str, wanted: str) -> Iterator[tuple[int, Json]]:
        """Lines of this level or a graver one, with this text somewhere in them."""
        least, wanted = LEVELS.index(level), wanted.lower()
        for number, line in enumerate(self.lines, self.first):
            if rank_of(line) >= least and (not wanted or wanted in plain(line).lower()):
                yield number, line

    def line(self, number: int) -> Json | None:
        place = number - self.first
        return self.lines[place] if 0 <= place < len(self.lines) else None

    def _add(self, line: Json) -> None:
        self.first += len(self.lines) == KEPT
        self.lines.append(line)


def rank_of(line: Json) -> int:
    return _RANKS.get(str(line.get("level")), 1)


def plain(line: Json) -> str:
    """A line on one line, as it is searched and copied."""
    fields = "".join(f"  {key}={value}" for key, value in line.items() if key not in _HEAD)
    return f"{line.get('at', '')}  {line.get('level', ''):<7}  {line.get('message', '')}{fields}".strip()


def painted(line: Json, width: int) -> Text:
    level = str(line.get("level", ""))
    at_ms = words.moment(cast("str | None", line.get("at")))
    clock = "" if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone():%H:%M:%S}"
    text = Text.assemble((f" {clock:<8}  ", "dim"), (f"{level:<7}  ", _COLOURS.get(level, "")))
    text.append(safe.line(line.get("message", "")), "dim" if level == "debug" else "")
    rest = [f"{key}={value}" for key, value in line.items() if key not in (*_HEAD, "logger", "traceback")]
    # What the message names already is not said twice.
    known = [each for each in rest if each.partition("=")[2] not in str(line.get("message"))]
    if known:
        text.append(safe.line("  " + "  ".join(known)), "dim")
    text.truncate(max(width, 1), overflow="ellipsis")
    return text


def _read(line: str) -> Json:
    if line.startswith("{"):
        try:
            known: Any = json.loads(line)
        except ValueError:
            known = None
        if isinstance(known, dict) and "message" in known and "level" in known:
            return cast(Json, known)
    return {"level": _guessed(line), "message": line}


def _guessed(line: str) -> str:
    """Of a line in words: what `ksl build` finds, a traceback, or anything else."""
    lower = line.lower()
    if "traceback" in lower or " error" in lower or "does not load" in lower:
        return "error"
    return "warning" if "warning" in lower or " KSL" in line else "info"
