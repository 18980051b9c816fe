"""One run over as many lives of an engine as there are points, and one more that nothing disturbs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.crash.life import FULFILLED, Task, lead
from tests.crash.stored import Stored, stored
from tests.crash.trial import Line

LEAST = "run_created"  # without it nothing happened at all


@dataclass
class EngineTrial:
    task: Task
    exits: list[int] = field(default_factory=list[int])
    found: list[Stored] = field(default_factory=list[Stored])  # after each life
    told: list[list[str]] = field(default_factory=list[list[str]])  # what had been acknowledged by then
    restart_s: float | None = None

    @property
    def kills(self) -> int:
        return sum(code == -9 for code in self.exits)

    @property
    def ledger(self) -> list[Line]:
        return [
            Line(run, step, int(attempt), int(life), key)
            for run, step, attempt, life, key in (line.split() for line in self._lines("ledger"))
        ]

    @property
    def said(self) -> str:
        return "\n".join(self._lines("stderr")[-30:])

    @property
    def final(self) -> Stored:
        return self.found[-1]

    def live(self, point: str, held: Callable[[int], None] | None = None) -> int:
        """The next life. Returns its exit code."""
        began_s = time.monotonic()
        code = lead(self.task, life=len(self.exits), point=point, held=held)
        self.exits.append(code)
        self.found.append(stored(self.task.database))
        self.told.append(self._lines("witness"))
        if code == FULFILLED and self.told[-1][-1].startswith("ended"):
            self.restart_s = float(self.told[-1][-1].split()[2]) - began_s
        return code

    def _lines(self, name: str) -> list[str]:
        path = self.task.folder / name
        return path.read_text().splitlines() if path.exists() else []


def run_engine_trial(task: Task, points: Sequence[str]) -> EngineTrial:
    """`points`: where the first lives end; a last one follows undisturbed, if the run is not over before."""
    task.folder.mkdir(parents=True)
    trial = EngineTrial(task)
    for point in [*points, ""]:
        if trial.live(point) != -9:
            break
    return trial


@dataclass(frozen=True)
class Expected:
    """How a run ends when nothing disturbs it."""

    status: str
    output: Any  # of a failed one: the type of its error; None where it is not compared
    is_sequence: bool  # its steps follow each other
    steps: frozenset[str] | None = None  # that had an effect
    compare: bool = True
