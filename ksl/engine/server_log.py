"""The log of this process as lines of fields, and the newest of them kept to be read over HTTP."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from ksl.engine.host import Mask
from ksl.errors import BadRequest
from ksl.records.moment import rfc3339

KEPT = 2_000  # lines
TEXT_MAX = 8_000  # characters of one text in a line; a traceback of that length has said what it has to say
LEVELS = ("debug", "info", "warning", "error")  # "critical" counts as an error
_REPEAT_S = 10.0
_REPEATS_MAX = 100

Fields = dict[str, Any]


class LogPage(msgspec.Struct, frozen=True):
    """Lines, oldest first. `after` is where the next question goes on; `missed` came after the position that was asked
    for, and are kept no more."""

    lines: list[Fields]
    after: str
    missed: int


class ServerLog(logging.Handler):
    """Listens to every logger of the process, from any thread. `boot` tells the lines of one process from the next."""

    def __init__(self, mask: Mask, *, boot: str, kept: int = KEPT) -> None:
        super().__init__()
        self._mask = mask
        self._boot = boot
        self._lines: deque[tuple[int, Fields]] = deque(maxlen=kept)
        self._position = 0  # of the newest line
        self.addFilter(Repeats())

    def listen(self) -> None:
        logging.getLogger().addHandler(self)

    def close(self) -> None:
        logging.getLogger().removeHandler(self)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._keep(fields_of(record))
        except Exception:
            self.handleError(record)

    def tell(self, message: str, *, level: str = "info") -> None:
        """A line that is no logger's: what the server says of itself."""
        with self._locked():
            at = rfc3339(time.time_ns() // 1_000_000)
            self._keep({"at": at, "level": level, "message": message, "logger": "ksl"})

    def page(self, *, after: str | None, level: str, limit: int) -> LogPage:
        """The newest lines, or the oldest ones behind the position `after`, which an answer before this gave.

        Errors: BadRequest.
        """
        if level not in LEVELS:
            raise BadRequest(f'level is one of {", ".join(LEVELS)}, not "{level[:40]}".')
        least = LEVELS.index(level)
        with self._locked():
            lines, newest = list(self._lines), self._position
        if after is None:
            found = [(at, line) for at, line in lines if _rank(line) >= least][-limit:]
            return LogPage([line for _, line in found], self._named(newest), 0)
        position = self._read(after)
        behind = [(at, line) for at, line in lines if at > position]
        found = [(at, line) for at, line in behind if _rank(line) >= least]
        # What was passed over for its level is not looked at again.
        reached = newest if len(found) <= limit else found[limit - 1][0]
        missed = max(behind[0][0] - position - 1, 0) if behind else 0
        return LogPage([line for _, line in found[:limit]], self._named(reached), missed)

    def _keep(self, line: Mapping[str, Any]) -> None:
        self._position += 1
        # Masked before it is cut: half a secret is known to nobody.
        kept = {key: _cut(self._masked(value)) for key, value in line.items()}
        self._lines.append((self._position, kept))

    def _masked(self, value: object) -> object:
        if not isinstance(value, str | int | float | bool | None):
            value = repr(value)
        if not self._mask.active or isinstance(value, bool | None):
            return value
        masked = self._mask.text(str(value))
        return value if masked == str(value) else masked

    def _named(self, position: int) -> str:
        return f"{self._boot}-{position}"

    def _read(self, after: str) -> int:
        boot, dash, position = after.rpartition("-")
        if not dash or not position.isascii() or not position.isdigit() or len(position) > 18:
            raise BadRequest(f'after is "after" of an answer before this, not "{after[:40]}".')
        # Another process gave it: all that this one has said is new.
        return min(int(position), self._position) if boot == self._boot else 0

    def _locked(self) -> Any:
        assert self.lock is not None
        return self.lock


class Repeats(logging.Filter):
    """asyncio tells of a connection that it cannot accept once for each place in the queue, and again every
    second: out of file descriptors, that would be thousands of lines with a traceback each."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}  # message -> when

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name != "asyncio":
            return True
        message = record.getMessage()
        if record.created < self._told.get(message, 0.0) + _REPEAT_S:
            return False
        if len(self._told) >= _REPEATS_MAX:
            self._told.clear()
        self._told[message] = record.created
        return True


def fields_of(record: logging.LogRecord) -> Fields:
    """A line as `GET /runs/{id}?include=logs` has it; `at`, `level` and `message` come first."""
    known = cast("Fields | None", getattr(record, "ksl", None))
    if known is not None:
        return known
    line: Fields = {
        "at": rfc3339(int(record.created * 1000)),
        "level": record.levelname.lower(),
        "message": record.getMessage(),
        "logger": record.name,
    }
    if record.exc_info:
        line["traceback"] = logging.Formatter().formatException(record.exc_info)
    return line


_RANKS: Mapping[str, int] = {name: rank for rank, name in enumerate(LEVELS)} | {"critical": 3}


def _rank(line: Mapping[str, Any]) -> int:
    return _RANKS.get(str(line.get("level")), 1)


def _cut(value: object) -> object:
    return f"{value[:TEXT_MAX]}…" if isinstance(value, str) and len(value) > TEXT_MAX else value
