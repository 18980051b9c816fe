"""The crash proof: real processes on real files, killed at every point there is, and at random ones.

`make chaos` makes all trials and writes the report that README quotes. `--size ci` is the part that runs with the
tests. While trials run, each death is looked at: what was acknowledged must be in the file. Then the faults stop,
and every run must end, as it does when nothing disturbs it. Exits 1 when a promise was broken, or when too little
happened for the result to mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from tests.crash import plans, strace
from tests.crash.plans import Plan
from tests.crash.record import Record
from tests.crash.report import Report

ROOT = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.chaos", description=__doc__)
    parser.add_argument("--size", choices=("ci", "full"), default="full")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, default=15.0, help="no plan begins later than that")
    parser.add_argument("--report", type=Path, help="write it there; otherwise to stdout")
    flags = parser.parse_args()
    began_s = time.monotonic()
    missing = strace.why_not()
    made = run(chosen(flags.size, flags.seed), workers=flags.workers, minutes=flags.minutes)
    shown: dict[str, Any] = {
        "made": {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": f"python -m tests.crash.chaos --size {flags.size} --seed {flags.seed}",
            "seed": flags.seed,
            "minutes": round((time.monotonic() - began_s) / 60, 1),
            "workers": flags.workers,
            "versions": {
                "ksl": version("ksl"),
                "python": platform.python_version(),
                "sqlite": sqlite3.sqlite_version,
                "system": f"{platform.system()} {platform.release()}",
            },
            "system_calls": missing or "made to fail and to kill by strace",
        },
        **made.shown(),
    }
    text = json.dumps(shown, indent=2) + "\n"
    if flags.report is None:
        print(text, end="")
    else:
        flags.report.write_text(text)
    return 1 if made.violations else 0


def chosen(size: str, seed: int) -> list[Plan]:
    """Sweeps first, then the rest in random order, so that running out of time costs a little of each."""
    rng = Random(seed)
    swept = list(plans.sweeps() if size == "full" else plans.few_sweeps(rng))
    wanted: list[Plan] = []
    if size == "full":
        wanted += plans.random_kills(rng, 600)
        wanted += plans.random_programs(rng, 200, trials=4)
        wanted += plans.servings(rng, 60, sweep=25)
        wanted += [] if strace.why_not() else plans.faults()
    else:
        wanted += plans.random_kills(rng, 40)
        wanted += plans.random_programs(rng, 20, trials=2)
        wanted += plans.servings(rng, 6, sweep=2)
        wanted += [] if strace.why_not() else plans.few_faults()
    rng.shuffle(wanted)
    return [*swept, *wanted]


def run(wanted: Sequence[Plan], *, workers: int, minutes: float, quiet: bool = False) -> Report:
    """Errors: RuntimeError when a worker ended before its work did."""
    until_s = time.monotonic() + minutes * 60
    waiting: queue.SimpleQueue[Plan | None] = queue.SimpleQueue()
    told: queue.SimpleQueue[Record | Exception | None] = queue.SimpleQueue()
    for plan in [*wanted, *[None] * workers]:
        waiting.put(plan)
    report = Report()
    threads = [threading.Thread(target=_work, args=(waiting, told, until_s, report)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    failure: Exception | None = None
    at_work = workers
    while at_work:
        match told.get():
            case None:
                at_work -= 1
            case Exception() as error:
                failure = error
            case record:
                report.add(record)
                for violation in record.violations:
                    print(violation, file=sys.stderr, flush=True)
                if not quiet and len(report.records) % 100 == 0:
                    print(f"{len(report.records)} trials, {report.kills} kills", file=sys.stderr, flush=True)
    for thread in threads:
        thread.join()
    if failure is not None:
        raise failure
    return report


def _work(
    waiting: queue.SimpleQueue[Plan | None],
    told: queue.SimpleQueue[Record | Exception | None],
    until_s: float,
    report: Report,
) -> None:
    """Keeps one worker busy."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.worker"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        while (plan := waiting.get()) is not None:
            if time.monotonic() > until_s:
                report.skipped += 1
                continue
            process.stdin.write(msgspec.json.encode(plan).decode() + "\n")
            process.stdin.flush()
            while line := process.stdout.readline().strip():
                told.put(msgspec.json.decode(line, type=Record))
            if process.poll() is not None:
                raise RuntimeError(f"a worker exited {process.returncode} at {plan}")
    except Exception as error:
        told.put(error)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()
        told.put(None)


if __name__ == "__main__":
    sys.exit(main())
