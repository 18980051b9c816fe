"""Many parallel branches of one helper, cut off half way."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.crash.process import Died, Serve
from tests.crash.trial import recorded_steps
from tests.crash.workload import write_project

pytestmark = [pytest.mark.crash, pytest.mark.process]

BRANCHES = 200


def test_each_of_many_branches_killed_half_way_has_its_own_data(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write_project(folder)
    points = ["effect:150", "stored:3", ""]
    kills, run_id = 0, ""
    run: dict[str, Any] = {}
    for life, point in enumerate(points):
        environment = {"CRASH_LEDGER": str(folder / "ledger"), "CRASH_LIFE": str(life), "CRASH_AT": point}
        before = recorded_steps(folder)
        with Serve(folder, environment=environment) as server:
            try:
                run_id = run_id or server.ask("POST", "/workflows/branches", BRANCHES).json()["run_id"]
                run = server.ask("GET", f"/runs/{run_id}").json()
                until = time.monotonic() + 30
                while run["status"] != "succeeded" and time.monotonic() < until:
                    time.sleep(0.02)
                    run = server.ask("GET", f"/runs/{run_id}").json()
                break
            except Died:
                kills += 1
        lines = [line.split() for line in (folder / "ledger").read_text().splitlines()]
        again = {(line[0], line[1]) for line in lines if int(line[3]) == life} & before
        assert not again, "ran again after their outcome was stored"
    assert kills == 2
    assert run["status"] == "succeeded"
    assert run["output"] == [[f"B{number}", f"B{number}C"] for number in range(BRANCHES)]
    steps = {
        step for step, *_ in [line.split()[1:2] for line in (folder / "ledger").read_text().splitlines()]
    }
    assert len(steps) == 2 * BRANCHES
