"""A run that waits for its next attempt says so in lists, whatever its status is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ksl.cli.app import cli

from tests.integration.api.serving import Served, serving

WORKFLOWS = '''
"""Workflows that fail for minutes."""

from ksl import Context, Retry, action, workflow


@action(retry=Retry(attempts=5, initial="5m", jitter=False))
async def score_lead() -> None:
    raise OSError("no answer")


@action
async def hold() -> None:
    import asyncio

    await asyncio.sleep(3600)


@workflow
async def step_again() -> None:
    await score_lead.run()


@workflow(retry=Retry(attempts=3, initial="5m", jitter=False))
async def run_again() -> None:
    raise ValueError("not today")


@workflow
async def at_hand() -> None:
    await hold.run()
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n[server]\nport = 0\n')
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "all.py").write_text(WORKFLOWS.lstrip())
    return tmp_path


@pytest.fixture
async def served(folder: Path) -> AsyncIterator[Served]:
    async with serving(folder) as server:
        yield server


async def retrying(served: Served, run_id: str) -> dict[str, Any]:
    while not (run := await served.run(run_id))["retrying"]:
        await asyncio.sleep(0.005)
    return run


async def test_a_step_that_backs_off_is_told_in_the_row_of_its_run(served: Served) -> None:
    run = await retrying(served, await served.start("step-again"))
    assert run["status"] == "sleeping"
    due = run["retrying"].pop("next_attempt_at")
    assert due == run["waiting_on"][0]["due"]
    assert run["retrying"] == {"step": "score-lead#0", "attempt": 2, "attempts": 5}


async def test_a_run_between_two_attempts_is_told_with_the_attempt_to_come(served: Served) -> None:
    run = await retrying(served, await served.start("run-again"))
    assert (run["status"], run["retrying"]["step"]) == ("queued", None)
    assert (run["retrying"]["attempt"], run["retrying"]["attempts"]) == (2, 3)


@pytest.mark.parametrize("asked", [{"status": "retrying"}, {"q": "state:retrying"}])
async def test_retrying_is_a_status_to_filter_by(served: Served, asked: dict[str, str]) -> None:
    run_id = await served.start("step-again")
    await retrying(served, run_id)
    await served.start("at-hand")
    [run] = (await served.client.get("/runs", params=asked)).json()["runs"]
    assert (run["run_id"], run["retrying"]["step"]) == (run_id, "score-lead#0")


async def test_a_paused_run_is_held_and_not_retrying(served: Served) -> None:
    run_id = await served.start("step-again")
    await retrying(served, run_id)
    assert (await served.client.post(f"/runs/{run_id}/pause", json={})).status_code == 202
    assert (await served.run(run_id))["retrying"] is None
    assert (await served.client.get("/runs?status=retrying")).json()["runs"] == []


async def test_all_that_are_retrying_can_be_cancelled_and_nothing_else_is(served: Served) -> None:
    run_id, other = await served.start("step-again"), await served.start("at-hand")
    await retrying(served, run_id)
    dry = await served.client.post("/runs/cancel?status=retrying&dry_run=true")
    assert dry.json()["matched"] == 1
    done = await served.client.post("/runs/cancel?status=retrying", json={"confirm": 1})
    assert done.json()["changed"] == 1
    assert (await served.settled(run_id))["status"] == "cancelled"
    assert (await served.run(other))["status"] == "running"
    refused = await served.client.post("/runs/retry?status=retrying&dry_run=true")
    assert refused.status_code == 400
    assert "goes on by itself" in refused.json()["detail"]


async def test_a_list_says_what_its_runs_are_doing(served: Served) -> None:
    await served.start("at-hand")
    while True:
        [run] = (await served.client.get("/runs")).json()["runs"]
        if run["at_hand"]:
            break
        await asyncio.sleep(0.005)
    assert run["at_hand"] == [{"step": "hold#0", "attempt": 1}]


async def test_the_command_shows_it_without_a_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(folder) as served:
        await retrying(served, await served.start("step-again"))
    monkeypatch.setattr("ksl.cli.invocation.Invocation.prints_json", property(lambda self: False))
    args = ["-C", str(folder), "runs", "list", "--status", "retrying"]
    told = await asyncio.to_thread(lambda: CliRunner().invoke(cli, args, env={"COLUMNS": "140"}))
    assert told.exit_code == 0, told.output
    assert "Retrying" in told.stdout
    assert "score-lead try 2/5 in 4m" in told.stdout
