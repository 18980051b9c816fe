"""The log of this process on stderr: lines of text on a terminal, else one JSON object a line."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from ksl.cli.output import printable
from ksl.cli.redaction import REDACTOR

_REPEAT_S = 10.0
_REPEATS_MAX = 100


@contextmanager
def log_to_stderr() -> Generator[None]:
    """What runs say (`ctx.log`), which credentials were used, and what ksl warns about. KSL_DEBUG=1 adds the rest."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text() if sys.stderr.isatty() else _Lines())
    handler.addFilter(_Repeats())
    debug = os.environ.get("KSL_DEBUG") == "1"
    root, told = logging.getLogger(), [logging.getLogger("ksl.run"), logging.getLogger("ksl.credentials")]
    before = [logger.level for logger in (root, *told)]
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.WARNING)
    for logger in told:
        logger.setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for logger, level in zip((root, *told), before, strict=True):
            logger.setLevel(level)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """A line as `GET /runs/{id}?include=logs` has it; `at`, `level` and `message` come first."""
    known = cast("dict[str, Any] | None", getattr(record, "ksl", None))
    if known is not None:
        return known
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    line: dict[str, Any] = {
        "at": f"{moment}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "message": record.getMessage(),
        "logger": record.name,
    }
    if record.exc_info:
        line["traceback"] = logging.Formatter().formatException(record.exc_info)
    return line


class _Repeats(logging.Filter):
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


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return REDACTOR.text(json.dumps(fields_of(record), ensure_ascii=False, default=repr))


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = dict(fields_of(record))
        traceback = line.pop("traceback", None)
        head = f"{str(line.pop('at'))[11:23]}  {line.pop('level'):<7}  {line.pop('message')}"
        rest = "".join(f"  {key}={value}" for key, value in line.items())
        # The progress of a run may stand on this line; it is drawn again below.
        return "\r\x1b[K" + REDACTOR.text(printable(head + rest) + (f"\n{traceback}" if traceback else ""))
