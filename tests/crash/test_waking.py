"""A sleep is ended by many at once, and the server dies at the worst moments."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.crash.process import Died, Serve
from tests.crash.workload import write_project

pytestmark = [pytest.mark.crash, pytest.mark.process]

CALLERS = 20


# The first commit of that life is the waking's: not stored, stored and nobody told, told and then gone.
@pytest.mark.parametrize("point", ["", "commit:1", "stored:1", "commit:2", "stored:3"])
def test_of_many_who_end_a_sleep_one_does_and_who_was_told_so_is_right(tmp_path: Path, point: str) -> None:
    folder = tmp_path / "project"
    write_project(folder)
    ledger = {"CRASH_LEDGER": str(folder / "ledger")}
    with Serve(folder, environment=ledger) as server:
        run_id = server.ask("POST", "/workflows/nap", "1d").json()["run_id"]
        _until(server, run_id, "sleeping")
    with Serve(folder, environment={**ledger, "CRASH_AT": point, "CRASH_LIFE": "1"}) as server:
        server.client()

        def wake(_number: int) -> int | None:
            try:
                return server.ask("POST", f"/runs/{run_id}/wake", {}).status_code
            except Died:
                return None

        with ThreadPoolExecutor(CALLERS) as pool:
            statuses = list(pool.map(wake, range(CALLERS)))
    assert set(statuses) <= {202, 409, None}, server.said()
    assert statuses.count(202) <= 1
    with Serve(folder, environment={**ledger, "CRASH_LIFE": "2"}) as server:
        late = server.ask("POST", f"/runs/{run_id}/wake", {}).status_code
        run = _until(server, run_id, "succeeded")
    ends = [event for event in run["events"] if event["type"] == "sleep_completed"]
    assert [event["meta"] for event in ends] == [{"by": "api"}]
    if 202 in statuses:
        assert late == 409
    if late == 202:
        assert point == "commit:1"  # the only one at which nothing had been stored
    performed = (folder / "ledger").read_text().splitlines()
    assert len(performed) == 1 or point  # what was in flight at a crash is performed again


def _until(server: Serve, run_id: str, status: str) -> dict[str, Any]:
    until = time.monotonic() + 30
    while True:
        run = server.ask("GET", f"/runs/{run_id}?include=events").json()
        if run["status"] == status:
            return run
        assert time.monotonic() < until, run
        time.sleep(0.01)
