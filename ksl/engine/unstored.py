"""Outcomes that the log could not take, kept until their run is loaded again.

The effect has happened; only its record is missing. While the disk is full a step would otherwise run again at
every try. What is kept here is not promised: a process that dies takes it along, and the step runs once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ksl.engine.attempt import Result
from ksl.engine.masked import fits_masked
from ksl.records import Event

if TYPE_CHECKING:
    from ksl.engine.call import Call


class _Kept(NamedTuple):
    callee: str
    input: bytes
    result: Result


class Unstored:
    def __init__(self) -> None:
        self.runs: dict[str, dict[str, _Kept]] = {}  # of which anything is kept, by step

    def keep(self, run_id: str, step: str, callee: str, input: bytes, result: Result) -> None:
        self.runs.setdefault(run_id, {})[step] = _Kept(callee, input, result)

    def keep_completed(self, events: Iterable[Event]) -> None:
        """Of a change that was lost. A failure is not kept: to try again is what its retries are for."""
        for event in events:
            meta = event.meta
            if event.type == "step_completed" and event.step and meta is not None and meta.kind == "action":
                result = Result(
                    data=event.data, started_at_ms=meta.started_at_ms, finished_at_ms=meta.finished_at_ms
                )
                self.keep(event.run_id, event.step, meta.callee, event.input or b"null", result)

    def take(self, run_id: str, call: Call) -> Result | None:
        """What became of this very step; handed out once."""
        if not self.runs or (kept := self.runs.get(run_id, {}).pop(call.id, None)) is None:
            return None
        return kept.result if kept.callee == call.callee and fits_masked(kept.input, call.input) else None

    def drop(self, run_id: str) -> None:
        self.runs.pop(run_id, None)
