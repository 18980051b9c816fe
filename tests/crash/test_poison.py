"""A run that takes the process down is held after five deaths, alone; whatever ran beside it ends as it should."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.crash.process import Died, Serve
from tests.crash.workload import write_project

pytestmark = [pytest.mark.crash, pytest.mark.process]

DEADLY = '''
"""A step that nothing survives."""

import os

from ksl import Context, action, workflow


@action
async def blow_up(fuse: str) -> str:
    if os.path.exists(fuse):
        os._exit(70)
    return "no fuse"


@workflow
async def bomb(input: str, ctx: Context) -> str:
    await ctx.hook()
    return await blow_up.run(fuse=input)
'''
DEATHS = 5


def test_only_the_run_that_kills_the_process_is_held_and_a_retry_lets_it_go(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write_project(folder)
    (folder / "workflows" / "deadly.py").write_text(DEADLY)
    fuse = folder / "fuse"
    fuse.touch()
    ledger = {"CRASH_LEDGER": str(folder / "ledger")}
    with Serve(folder, environment=ledger) as server:
        waiting = _start(server, "asker", None)
        culprit = _start(server, "bomb", str(fuse))
        _until(server, culprit, "waiting")
        beside = [_start(server, "linger", 0.4) for _ in range(3)]
        # Those have a step in flight whenever the process dies, until they are taken up without it.
        with suppress(Died):
            server.ask("POST", f"/runs/{culprit}/hooks/resume", {"payload": None})
        assert server.process.wait(timeout=20) == 70
    lives = 1
    again = None
    while again is None:
        lives += 1
        assert lives <= DEATHS + 1, f"{lives} lives and not held"
        with Serve(folder, environment=ledger) as server:
            try:
                held = _until(server, culprit, "held", "succeeded", "failed")
            except Died:
                assert server.process.returncode == 70, server.said()
                continue
            assert held["status"] == "held"
            assert held["error"]["type"] == "PoisonRun"
            assert "5 times" in held["error"]["message"]
            for run_id in beside:
                assert _until(server, run_id, "held", "succeeded", "failed")["status"] == "succeeded"
            assert server.ask("GET", f"/runs/{waiting}").json()["status"] == "waiting"
            fuse.unlink()
            assert server.ask("POST", f"/runs/{culprit}/retry").status_code == 202
            again = _until(server, culprit, "succeeded")
    assert lives == DEATHS + 1
    assert again["output"] == "no fuse"


def _start(server: Serve, workflow: str, given: object) -> str:
    run_id: str = server.ask("POST", f"/workflows/{workflow}", given).json()["run_id"]
    return run_id


def _until(server: Serve, run_id: str, *statuses: str) -> dict[str, Any]:
    until = time.monotonic() + 30
    while True:
        run: dict[str, Any] = server.ask("GET", f"/runs/{run_id}").json()
        if run["status"] in statuses:
            return run
        assert time.monotonic() < until, run
        time.sleep(0.02)
