"""A failure that the body handled is shown so while the next step is in flight, on the real runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.api.serving import Served, serving

FLOW = """
import asyncio
from ksl import StepFailed, Retry, action, workflow


@action
async def refuse() -> None:
    raise ValueError("no")


@action
async def hold() -> None:
    await asyncio.sleep(3600)


@workflow(retry=Retry(attempts=1))
async def careful() -> None:
    try:
        await refuse.run()
    except StepFailed:
        pass
    await hold.run()
"""


@pytest.fixture
async def careful(tmp_path: Path) -> AsyncIterator[Served]:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n[server]\nport = 0\n')
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "flow.py").write_text(FLOW)
    async with serving(tmp_path) as served:
        yield served


async def test_a_handled_failure_is_caught_while_the_next_step_is_in_flight(careful: Served) -> None:
    run_id = await careful.start("careful")
    states: dict[str, str] = {}
    while states.get("hold") != "running":
        await asyncio.sleep(0.01)
        asked = {"run": run_id}
        canvas = (await careful.client.get("/workflows/careful/canvas", params=asked)).json()
        states = {id: node["state"] for id, node in canvas["nodes"].items()}
    assert states == {"refuse": "caught", "hold": "running"}
