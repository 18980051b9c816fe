"""What the command prints of a real run is a fixture that replays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ksl.build.discover import Project, discover, unload
from ksl.errors import InputDrift
from ksl.testing import History, replay

FLOW = """
from ksl import Context, Retry, action, workflow

@action(retry=Retry(attempts=2, initial="1ms"))
def add(ctx_free: int, other: float = 0.1) -> float:
    return ctx_free + other

@workflow(slug="sums")
async def sums(input: int, ctx: Context) -> float:
    total = 0.0
    for n in range(input):
        total += await add.run(n)
    await ctx.sleep("10ms")
    answer = await ctx.hook(float, name="more")
    return total + answer
"""


def ksl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KSL_")}
    return subprocess.run(
        [sys.executable, "-m", "ksl", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def loaded(folder: Path, text: str) -> Project:
    (folder / "workflows" / "sums.py").write_text(text)
    project = discover(folder)
    project.raise_if_broken()
    return project


@pytest.mark.process
async def test_what_runs_show_prints_replays_and_finds_the_edit_that_no_longer_fits(tmp_path: Path) -> None:
    import json

    (tmp_path / "ksl.toml").touch()
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "sums.py").write_text(FLOW)
    started = ksl(tmp_path, "workflows", "run", "sums", "--input", "3", "--json")
    assert started.returncode == 3, started.stdout + started.stderr  # it waits for the hook
    run_id = json.loads(started.stdout)["run_id"]
    answered = ksl(tmp_path, "hooks", "resume", run_id, "--data", "2.5")
    assert answered.returncode == 0, answered.stdout + answered.stderr
    shown = ksl(tmp_path, "runs", "show", run_id, "--include", "events", "--json")
    assert shown.returncode == 0, shown.stderr
    (tmp_path / "run.json").write_text(shown.stdout)

    history = History.load(tmp_path / "run.json")
    assert (history.run_id, history.workflow) == (run_id, "sums")
    project = loaded(tmp_path, FLOW)
    try:
        replayed = await replay(project.workflows["sums"], history)
        assert (replayed.status, replayed.wanted) == ("succeeded", [])
        assert replayed.output == pytest.approx(5.8)
    finally:
        unload(project)

    edited = loaded(tmp_path, FLOW.replace("add.run(n)", "add.run(n + 1)"))
    try:
        with pytest.raises(InputDrift, match=rf"run {run_id}: step add#0 .*sums\.py:12"):
            await replay(edited.workflows["sums"], history)
    finally:
        unload(edited)
