"""One server to a folder, and how it goes: told to stop, told again, or killed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.crash.process import Serve
from tests.crash.workload import write_project

pytestmark = [pytest.mark.crash, pytest.mark.process]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_project(tmp_path / "project")
    return tmp_path / "project"


def test_a_second_server_is_told_of_the_first_and_follows_it_once_it_is_killed(folder: Path) -> None:
    with Serve(folder) as first:
        url = str(first.client().base_url)
        before = len(first.said())
        with Serve(folder) as second:
            assert second.process.wait(timeout=20) == 4
        told = first.said()[before:]
        assert f"process {first.process.pid} at {url}" in told
        assert first.ask("GET", "/healthz").status_code == 200
        first.kill()
        with Serve(folder) as third:
            assert third.ask("GET", "/healthz").status_code == 200


def test_sigterm_records_a_step_in_flight_and_a_second_one_leaves_it(folder: Path) -> None:
    ledger = {"CRASH_LEDGER": str(folder / "ledger")}
    with Serve(folder, environment=ledger, options=("--drain", "20s")) as server:
        drained = begun(server, "branches", 60)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0
    with Serve(folder, environment=ledger, options=("--drain", "60s")) as server:
        events = server.ask("GET", f"/runs/{drained}/events?limit=1000").json()["events"]
        recorded = [
            event["step"].removeprefix("step:") for event in events if event["type"] == "step_completed"
        ]
        # Each that had begun when the signal came is recorded, so none of them is made twice.
        done = ended(server, drained)
        assert recorded
        lines = [line.split()[1] for line in (folder / "ledger").read_text().splitlines()]
        assert sorted(lines) == sorted(set(lines))
        assert done["status"] == "succeeded"

        before = len(server.said())
        cut_off = begun(server, "linger", 2)
        server.process.send_signal(signal.SIGTERM)
        while "SIGTERM: no new work" not in server.said()[before:]:
            time.sleep(0.002)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=15) == 128 + signal.SIGTERM
    with Serve(folder, environment=ledger) as server:
        assert ended(server, cut_off)["status"] == "succeeded"


def begun(server: Serve, workflow: str, given: object) -> str:
    """Returns when a step of the run has begun."""
    ledger = server.folder / "ledger"
    before = len(ledger.read_text().splitlines()) if ledger.exists() else 0
    run_id: str = server.ask("POST", f"/workflows/{workflow}", given).json()["run_id"]
    while not ledger.exists() or len(ledger.read_text().splitlines()) <= before:
        time.sleep(0.002)
    return run_id


def ended(server: Serve, run_id: str) -> dict[str, object]:
    until = time.monotonic() + 30
    while True:
        run = server.ask("GET", f"/runs/{run_id}").json()
        if run["status"] in ("succeeded", "failed", "held"):
            return run
        assert time.monotonic() < until, run
        time.sleep(0.01)
