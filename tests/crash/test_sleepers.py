"""Ten thousand sleeping runs: a server that finds them starts at once, stays small, and wakes who is due."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import psutil
import pytest

from ksl.build.config import load_settings
from ksl.build.discover import discover, unload
from ksl.runtime import Runtime

from tests.crash.process import Serve
from tests.crash.workload import write_project

pytestmark = [pytest.mark.crash, pytest.mark.process, pytest.mark.slow]

SLEEPERS = 10_000
# Generous, for machines that do other things meanwhile. The figures to reach are 1 s and 80 MB.
START_S = 5.0
MEMORY_MB = 160


async def test_a_server_that_finds_ten_thousand_sleepers_starts_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    write_project(empty)
    write_project(full)
    began = time.monotonic()
    due_id = await put_to_sleep(full)
    put_s = time.monotonic() - began

    with Serve(empty) as server:
        _, empty_mb = started(server)
    with Serve(full, environment={"CRASH_LEDGER": str(full / "ledger")}) as server:
        ready_s, full_mb = started(server)
        counts = {row["status"] for row in server.ask("GET", "/runs?limit=100").json()["runs"]}
        until = time.monotonic() + 30
        while (run := server.ask("GET", f"/runs/{due_id}?include=events").json())["status"] != "succeeded":
            assert time.monotonic() < until, run
            await asyncio.sleep(0.02)
    with capsys.disabled():
        print(
            f"\n{SLEEPERS:,} runs put to sleep at {SLEEPERS / put_s:,.0f} a second; a server with them is ready in "
            f"{ready_s:.2f} s and {full_mb - empty_mb:.0f} MB larger than an empty one ({empty_mb:.0f} MB)"
        )
    assert ready_s < START_S
    assert full_mb - empty_mb < MEMORY_MB
    assert counts <= {"sleeping", "succeeded", "running"}
    slept = {event["type"]: event for event in run["events"]}
    assert slept["sleep_completed"]["at"] >= slept["sleep_started"]["data"]["due"]
    assert len((full / "ledger").read_text().splitlines()) == 1


async def put_to_sleep(folder: Path) -> str:
    """Returns the id of the one run that is due at once; the others sleep for a day."""
    settings = load_settings(folder, {"KSL_STORE_DURABILITY": "process"})
    project = discover(folder)
    project.raise_if_broken()
    runtime = await Runtime.open(folder, settings, project=project, serve=True)
    try:
        for _ in range(SLEEPERS // 500):
            await asyncio.gather(*[runtime.start("nap", b'"1d"') for _ in range(500)])
        await runtime.store.flush()
        counts = await runtime.store.run_counts()
        assert sum(counts.values()) == SLEEPERS
    finally:
        await runtime.close()
    runtime = await Runtime.open(folder, settings, project=project, serve=True)
    try:
        return (await runtime.start("nap", b'"500ms"')).run.run_id
    finally:
        await runtime.close()
        unload(project)


def started(server: Serve) -> tuple[float, float]:
    """How long it took by its own account, and its size then."""
    server.client()
    rss_mb = psutil.Process(server.process.pid).memory_info().rss / 1e6
    narrated = re.findall(r"ready in ([\d.]+)(ms|s)", server.said())
    assert narrated, server.said()
    number, unit = narrated[-1]
    return float(number) / (1000 if unit == "ms" else 1), rss_mb
