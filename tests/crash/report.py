"""Counts what trials came to. What happened is counted as well as what went wrong: nothing happening is no proof."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.crash.record import Record

# In the whole of a report, for each hundred trials: what the workloads are made of must have happened.
LEAST_A_HUNDRED = {
    "run_created": 100,
    "step_completed": 200,
    "effect": 250,
    "run_completed": 50,
    "sleep_completed": 3,
    "hook_resumed": 3,
    "step_retrying": 3,
    "run_retrying": 3,
    "step_started": 3,
    "step_failed": 3,
    "step_cancelled": 2,
    "run_cancelled": 2,
    "run_failed": 2,
}


class Report:
    def __init__(self) -> None:
        self.records: list[Record] = []
        self.skipped = 0  # plans that no time was left for

    def add(self, record: Record) -> None:
        self.records.append(record)

    @property
    def disturbed(self) -> list[Record]:
        """The trials proper; the others show how it goes when nothing happens."""
        return [record for record in self.records if record.kills or record.faults]

    @property
    def kills(self) -> int:
        return sum(record.kills for record in self.records)

    @property
    def operations(self) -> Counter[str]:
        return sum((Counter(record.operations) for record in self.records), Counter[str]())

    @property
    def violations(self) -> list[str]:
        return [violation for record in self.records for violation in record.violations] + self.vacuous()

    def vacuous(self) -> list[str]:
        hundreds = len(self.records) // 100
        operations = self.operations
        few = [
            f"only {operations[kind]} of {kind} in {len(self.records)} trials: they say nothing"
            for kind, least in LEAST_A_HUNDRED.items()
            if operations[kind] < least * hundreds
        ]
        return few + ([] if self.kills else ["nothing was killed"])

    def shown(self) -> dict[str, Any]:
        disturbed = self.disturbed
        restarts = [record for record in disturbed if record.restart_s is not None]
        exits = Counter(
            code for record in disturbed if record.family == "flush" for code in record.exits[:-1]
        )
        return {
            "trials": len(disturbed),
            "undisturbed": len(self.records) - len(disturbed),
            "kills": self.kills,
            "disk_faults": sum(record.faults for record in disturbed if record.family == "flush"),
            "trials_by_family": _sorted(Counter(record.family for record in disturbed)),
            "operations": _sorted(self.operations),
            "acknowledgements": sum(record.acknowledged for record in self.records),
            "lost_acknowledgements": sum(len(record.lost) for record in self.records),
            "duplicate_records": sum(len(record.duplicates) for record in self.records),
            "divergences": sum(len(record.divergences) for record in self.records),
            "stuck": sum(len(record.stuck) for record in self.records),
            "other_problems": sum(len(record.problems) for record in self.records),
            "extra_effects_per_kill": {
                "steps_in_sequence": _histogram([n for r in disturbed for n in r.extra_in_sequence]),
                "steps_in_parallel": _histogram([n for r in disturbed for n in r.extra_in_parallel]),
            },
            "exits_after_failed_flush": _sorted(Counter({str(code): n for code, n in exits.items()})),
            "integrity_check_failures": sum(record.unsound for record in self.records),
            "largest_wal_bytes": max((record.wal_bytes for record in self.records), default=0),
            "seconds_from_restart_to_all_done": {
                "engine": _quantiles([r.restart_s or 0 for r in restarts if r.family != "serve"]),
                "serve": _quantiles([r.restart_s or 0 for r in restarts if r.family == "serve"]),
            },
            "plans_skipped": self.skipped,
            "violations": self.violations,
        }


def _quantiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    values = sorted(values)
    return {
        "p50": round(values[len(values) // 2], 3),
        "p99": round(values[len(values) * 99 // 100], 3),
        "max": round(values[-1], 3),
    }


def _histogram(values: list[int]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
