"""Structured logs of runs: to the process's own log, and the newest lines of each run kept for reading."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from ksl.engine.host import Clock, Mask
from ksl.records.moment import rfc3339

LINES_MAX = 1_000  # kept per run
_RUNS_MAX = 1_000  # whose lines are kept
_server_log = logging.getLogger("ksl.run")

Line = dict[str, object]


class Logs:
    def __init__(self, clock: Clock, mask: Mask) -> None:
        self._clock = clock
        self._mask = mask
        self._lines: OrderedDict[str, deque[Line]] = OrderedDict()
        self._listeners: list[Callable[[Line], None]] = []

    def of(
        self, run_id: str, *, step_id: str | None = None, silent: Callable[[], bool] | None = None
    ) -> RunLog:
        return RunLog(self, run_id, step_id, silent)

    def lines(self, run_id: str) -> list[Line]:
        return list(self._lines.get(run_id, ()))

    def subscribe(self, listener: Callable[[Line], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def write(
        self, level: str, message: str, run_id: str, step_id: str | None, fields: dict[str, Any]
    ) -> None:
        line: Line = {
            "at": rfc3339(self._clock.now_ms()),
            "level": level,
            "message": message,
            "run_id": run_id,
        }
        if step_id is not None:
            line["step_id"] = step_id
        line.update((key, _plain(value)) for key, value in fields.items() if key not in line)
        if self._mask.active:
            line = {key: self._masked(value) for key, value in line.items()}
            message = str(line["message"])
        kept = self._lines.get(run_id)
        if kept is None:
            kept = self._lines[run_id] = deque(maxlen=LINES_MAX)
            if len(self._lines) > _RUNS_MAX:
                self._lines.popitem(last=False)
        kept.append(line)
        _server_log.log(logging.getLevelNamesMapping()[level.upper()], "%s", message, extra={"ksl": line})
        for listener in list(self._listeners):
            listener(line)

    def _masked(self, value: object) -> object:
        if isinstance(value, bool | None):
            return value
        masked = self._mask.text(str(value))
        return value if masked == str(value) else masked


class RunLog:
    """`ctx.log` and an action's `log`: `log.info("charged", amount=12)`."""

    __slots__ = ("_logs", "_run_id", "_silent", "_step_id", "muted")

    def __init__(
        self, logs: Logs, run_id: str, step_id: str | None, silent: Callable[[], bool] | None
    ) -> None:
        self._logs = logs
        self._run_id = run_id
        self._step_id = step_id
        self._silent = silent
        self.muted = False  # a body's log says nothing while it is replayed

    def debug(self, message: str, /, **fields: Any) -> None:
        self._write("debug", message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        self._write("info", message, fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        self._write("warning", message, fields)

    def error(self, message: str, /, **fields: Any) -> None:
        self._write("error", message, fields)

    def _write(self, level: str, message: str, fields: dict[str, Any]) -> None:
        if not self.muted and (self._silent is None or not self._silent()):
            self._logs.write(level, str(message), self._run_id, self._step_id, fields)


def _plain(value: Any) -> object:
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
