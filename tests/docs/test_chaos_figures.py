"""The figures of the crash proof: README quotes the stored report, and the report is worth quoting."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
REPORT: dict[str, Any] = json.loads((ROOT / "docs" / "chaos.json").read_text())
TRIALS_MIN = 2_000


def quoted(report: dict[str, Any]) -> str:
    """README's words for a report."""
    in_sequence: dict[str, int] = report["extra_effects_per_kill"]["steps_in_sequence"]
    restart: dict[str, dict[str, float]] = report["seconds_from_restart_to_all_done"]
    return (
        f"{report['trials']:,} trials, {report['kills']:,} kills with SIGKILL and {report['disk_faults']:,} failed "
        f"flushes; {report['acknowledgements']:,} acknowledgements checked, {report['lost_acknowledgements']} lost; "
        f"{report['operations']['step_completed']:,} steps recorded, {report['duplicate_records']} of them twice; "
        f"{report['divergences']} runs that ended otherwise than undisturbed, {report['stuck']} that did not end; "
        f"at most {max(map(int, in_sequence))} effect repeated by a kill where steps follow each other. "
        f"From the restart of a server to the end of all its runs: {restart['serve']['p50']} s in the middle, "
        f"{restart['serve']['p99']} s at the 99th percentile."
    )


def test_readme_quotes_the_stored_report() -> None:
    readme = re.sub(r"\s+", " ", (ROOT / "README.md").read_text())
    assert quoted(REPORT) in readme, f"README should say: {quoted(REPORT)}"


def test_the_stored_report_has_enough_trials_and_no_violation() -> None:
    assert REPORT["trials"] >= TRIALS_MIN
    assert REPORT["kills"] >= TRIALS_MIN
    assert REPORT["violations"] == []
    for count in (
        "lost_acknowledgements",
        "duplicate_records",
        "divergences",
        "stuck",
        "other_problems",
        "integrity_check_failures",
    ):
        assert REPORT[count] == 0, count


def test_the_stored_report_has_trials_of_every_family() -> None:
    trials = REPORT["trials_by_family"]
    assert set(trials) == {"sweep", "twice", "random", "programs", "serve", "pwrite64", "flush"}
    assert trials["serve"] >= 100
    assert REPORT["exits_after_failed_flush"]["5"] > 0


def test_every_kind_of_operation_happened_in_the_stored_report() -> None:
    from tests.crash.report import LEAST_A_HUNDRED

    hundreds = REPORT["trials"] // 100
    few = {
        kind: REPORT["operations"].get(kind, 0)
        for kind, least in LEAST_A_HUNDRED.items()
        if REPORT["operations"].get(kind, 0) < least * hundreds
    }
    assert not few


def test_a_kill_repeats_at_most_one_effect_where_steps_follow_each_other() -> None:
    assert set(REPORT["extra_effects_per_kill"]["steps_in_sequence"]) <= {"0", "1"}
