"""A row of the table: how it is measured, what it must reach, what came out."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Place:
    """Where and how large. `size(10_000)` is that many, or a tenth under --quick."""

    folder: Path  # empty, on a real disk, removed afterwards
    quick: bool

    def size(self, full: int) -> int:
        return full // 10 if self.quick else full

    def fresh(self, name: str) -> Path:
        """A path in the folder that was not used before."""
        return self.folder / f"{name}-{len(list(self.folder.iterdir()))}"


@dataclass(frozen=True)
class Must:
    kind: Literal["at least", "at most"]
    value: float

    def met_by(self, value: float) -> bool:
        return value >= self.value if self.kind == "at least" else value <= self.value


@dataclass(frozen=True)
class Sample:
    """One repeat. `beside` holds what was measured along with it: name -> (value, unit)."""

    value: float
    beside: dict[str, tuple[float, str]] = field(default_factory=dict[str, tuple[float, str]])


@dataclass(frozen=True)
class Row:
    name: str  # for --only
    what: str
    unit: str
    sample: Callable[[Place], Sample]
    must: Must | None = None
    repeats: int = 3


@dataclass(frozen=True)
class Outcome:
    row: Row
    samples: list[Sample]

    @property
    def median(self) -> float:
        return statistics.median(sample.value for sample in self.samples)

    @property
    def low(self) -> float:
        return min(sample.value for sample in self.samples)

    @property
    def high(self) -> float:
        return max(sample.value for sample in self.samples)

    @property
    def met(self) -> bool | None:
        return None if self.row.must is None else self.row.must.met_by(self.median)

    @property
    def beside(self) -> dict[str, tuple[float, str]]:
        """Medians too."""
        return {
            name: (statistics.median(sample.beside[name][0] for sample in self.samples), unit)
            for name, (_, unit) in self.samples[0].beside.items()
        }


def at_least(value: float) -> Must:
    return Must("at least", value)


def at_most(value: float) -> Must:
    return Must("at most", value)


def p50(values: list[float]) -> float:
    return statistics.median(values)


def measure(row: Row, place: Place) -> Outcome:
    repeats = min(row.repeats, 2) if place.quick else row.repeats
    return Outcome(row, [row.sample(place) for _ in range(repeats)])
