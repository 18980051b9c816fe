"""The log of this process on stderr: lines of text on a terminal, else one JSON object a line."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

from ksl.cli.output import printable
from ksl.cli.redaction import REDACTOR
from ksl.engine.server_log import Repeats, fields_of


@contextmanager
def log_to_stderr(*, audits: bool = True) -> Generator[None]:
    """What runs say (`ctx.log`) and what becomes of them, and what ksl warns about. `audits`: also which credentials
    were used. KSL_DEBUG=1 adds the rest."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text() if sys.stderr.isatty() else _Lines())
    handler.addFilter(Repeats())
    debug = os.environ.get("KSL_DEBUG") == "1"
    names = ["ksl.run", "ksl.credentials"] if audits else ["ksl.run"]
    root, told = logging.getLogger(), [logging.getLogger(name) for name in names]
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
