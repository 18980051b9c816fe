"""Crash trials for as long as you like.

`python -m tests.crash.chaos --trials 200 --seed 7` kills at random points; `--sweep N` kills once before and
after every commit and at every effect, up to the Nth. Prints what it found as JSON; exits 1 when a promise was
broken, or when too little happened for the result to mean anything.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.crash.trial import run_trial
from tests.crash.verdict import Verdict

KILLS_MAX = 4  # a fifth death without progress would hold a run, as it should
POINTS = ("commit", "stored", "effect")
# Of each kind at least so many in every trial: the workload has them, whatever is killed.
LEAST = {"run_completed": 11, "step_completed": 40, "sleep_completed": 1, "hook_resumed": 1, "step_retrying": 2,
         "run_retrying": 2, "step_started": 1, "step_cancelled": 1, "run_cancelled": 1, "effect": 45}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.chaos", description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sweep", type=int, default=0, metavar="N")
    parser.add_argument("--minutes", type=float, default=30.0, help="no trial begins later than that")
    flags = parser.parse_args()
    plans = sweep(flags.sweep) if flags.sweep else random_plans(flags.seed, flags.trials)
    until = time.monotonic() + flags.minutes * 60
    report = Report()
    for options, points in plans:
        if time.monotonic() > until:
            break
        report.add(options, points)
        print(
            f"{report.trials} trials, {report.kills} kills, {len(report.problems)} problems", file=sys.stderr
        )
    print(json.dumps(report.shown(), indent=2))
    return 1 if report.problems or not report.kills else 0


def random_plans(seed: int, trials: int) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    rng = Random(seed)
    for _ in range(trials):
        durability = rng.choice(("full", "process"))
        points = [f"{rng.choice(POINTS)}:{rng.randint(1, 25)}" for _ in range(rng.randint(1, KILLS_MAX))]
        yield ("--durability", durability), points


def sweep(most: int) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    for number in range(1, most + 1):
        for point in POINTS:
            yield (), [f"{point}:{number}"]


class Report:
    def __init__(self) -> None:
        self.trials = self.kills = 0
        self.lost = self.duplicates = self.divergences = 0
        self.extra_effects: Counter[int] = Counter()
        self.operations: Counter[str] = Counter()
        self.problems: list[str] = []

    def add(self, options: tuple[str, ...], points: list[str]) -> Verdict | None:
        plan = " ".join((*options, *points))
        self.trials += 1
        with tempfile.TemporaryDirectory(prefix="ksl-chaos-") as folder:
            try:
                trial = run_trial(Path(folder) / "project", points, options=options)
            except AssertionError as error:
                self.problems.append(f"[{plan}] {error}")
                return None
            verdict = Verdict(trial)
        self.kills += trial.kills
        self.lost += len(verdict.lost)
        self.duplicates += len(verdict.duplicates)
        self.divergences += len(verdict.divergences)
        self.extra_effects[verdict.extra_effects] += 1
        self.operations += verdict.operations
        self.problems += [f"[{plan}] {problem}" for problem in verdict.problems]
        self.problems += [
            f"[{plan}] only {verdict.operations[what]} of {what}: the trial says nothing"
            for what, least in LEAST.items()
            if verdict.operations[what] < least
        ]
        return verdict

    def shown(self) -> dict[str, Any]:
        return {
            "trials": self.trials,
            "kills": self.kills,
            "lost_acknowledgements": self.lost,
            "duplicate_records": self.duplicates,
            "divergences": self.divergences,
            "extra_effects_per_trial": {
                str(extra): self.extra_effects[extra] for extra in sorted(self.extra_effects)
            },
            "operations": dict(self.operations),
            "problems": self.problems,
        }


if __name__ == "__main__":
    sys.exit(main())
