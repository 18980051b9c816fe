"""A server killed at chosen points, restarted, and everything it had promised.

Here a seeded part of the crash proof; `make chaos` makes all of it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.crash import strace
from tests.crash.chaos import chosen, run
from tests.crash.plans import Kills, Sweep
from tests.crash.report import Report
from tests.crash.trial import run_trial
from tests.crash.verdict import Verdict

pytestmark = [pytest.mark.crash, pytest.mark.process]

# Of each kind at least so many in a trial of the whole workload, whatever is killed.
LEAST = {"run_completed": 11, "step_completed": 40, "sleep_completed": 1, "hook_resumed": 1, "step_retrying": 2,
         "run_retrying": 2, "step_started": 1, "step_cancelled": 1, "run_cancelled": 1, "effect": 45}  # fmt: skip


def test_undisturbed_the_workload_does_all_it_is_there_for(tmp_path: Path) -> None:
    verdict = Verdict(run_trial(tmp_path / "project", []))
    assert not verdict.problems
    assert verdict.extra_effects == 0
    for what, least in LEAST.items():
        assert verdict.operations[what] >= least, what


@pytest.mark.slow
def test_whatever_kills_a_run_nothing_acknowledged_is_lost_and_it_ends_as_it_would_have() -> None:
    report = run(chosen("ci", seed=11), workers=2, minutes=3.0, quiet=True)
    assert not report.violations
    assert report.skipped == 0
    trials = Counter(record.family for record in report.disturbed)
    assert trials["sweep"] >= 40
    assert trials["random"] >= 10
    assert trials["programs"] >= 20
    assert trials["serve"] >= 10
    assert report.kills >= 100
    # Steps were cut off: otherwise the points would not be where it hurts.
    assert any(extra for record in report.disturbed for extra in record.extra_in_sequence)
    if strace.why_not() is None:
        assert trials["pwrite64"] >= 3
        assert trials["flush"] >= 4
        assert 5 in [code for record in report.disturbed for code in record.exits]


def test_a_sweep_kills_at_every_point_and_then_finds_no_more() -> None:
    report = run([Sweep("paying", "commit")], workers=1, minutes=1.0, quiet=True)
    assert [record.kills for record in report.records] == [1] * (len(report.records) - 1) + [0]
    assert len(report.records) > 4


def test_trials_in_which_nothing_was_killed_prove_nothing() -> None:
    report = run([Kills("chain", ())], workers=1, minutes=1.0, quiet=True)
    assert report.violations == ["nothing was killed"]
    assert Report().violations == ["nothing was killed"]
