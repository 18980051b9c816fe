"""A server killed at chosen points, restarted, and everything it had promised.

CI kills at a few of the points. `CRASH_SWEEP=45` kills at each of the first so many commits and effects; see
also `python -m tests.crash.chaos`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash.chaos import LEAST, POINTS, Report, random_plans, sweep
from tests.crash.trial import run_trial
from tests.crash.verdict import Verdict

pytestmark = [pytest.mark.crash, pytest.mark.process]

SWEEP = int(os.environ.get("CRASH_SWEEP", "0"))
# Where the sweep is thinned out to: begin, middle and end of the workload.
FEW = [f"{point}:{number}" for point in POINTS for number in (1, 7, 20)]


def test_undisturbed_the_workload_does_all_it_is_there_for(tmp_path: Path) -> None:
    verdict = Verdict(run_trial(tmp_path / "project", []))
    assert not verdict.problems
    assert verdict.extra_effects == 0
    for what, least in LEAST.items():
        assert verdict.operations[what] >= least, what


@pytest.mark.slow
def test_killed_once_everything_ends_as_it_would_have() -> None:
    plans = list(sweep(SWEEP)) if SWEEP else [((), [point]) for point in FEW]
    report = Report()
    for options, points in plans:
        report.add(options, points)
    assert not report.problems
    assert report.kills >= 0.9 * len(plans)  # or the points are no points of this workload any more


@pytest.mark.slow
def test_killed_again_and_again_everything_ends_as_it_would_have() -> None:
    report = Report()
    for options, points in random_plans(seed=11, trials=4):
        report.add(options, points)
    assert not report.problems
    assert report.kills >= 6
    assert sum(extra * trials for extra, trials in report.extra_effects.items()) > 0  # steps were cut off
