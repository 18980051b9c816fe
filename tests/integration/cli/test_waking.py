"""`ksl runs wake` without a server: on an engine inside the command, which stays with the run."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.cli.test_engine import ksl, project

__all__ = ["project"]


def test_a_sleep_is_woken_and_the_command_stays_until_the_run_ends(project: Path):
    run_id = json.loads(ksl(project, "workflows", "run", "nap").stdout)["run_id"]
    done = ksl(project, "runs", "wake", run_id)
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (0, "succeeded"), done.stderr
    events = [json.loads(line) for line in ksl(project, "runs", "tail", run_id).stdout.splitlines()]
    (woken,) = [event for event in events if event["type"] == "sleep_completed"]
    assert woken["meta"] == {"by": "cli"}
    again = ksl(project, "runs", "wake", run_id, "--step", "sleep#0")
    assert (again.exit_code, "has ended" in again.stderr) == (1, True)
