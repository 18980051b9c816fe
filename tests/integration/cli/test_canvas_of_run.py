from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli

FLOW = """
from ksl import Context, action, workflow

@action
async def greet(name: str) -> str:
    return f"Hello, {name}"

@workflow
async def inner(input: str) -> str:
    return await greet.run(name=input)

@workflow
async def nap(ctx: Context) -> int:
    await inner.run("Ada")
    await ctx.sleep("1h")
    return 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").touch()
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "nap.py").write_text(FLOW)
    return tmp_path


def ksl(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args], catch_exceptions=False)


def started(folder: Path) -> str:
    run_id: str = json.loads(ksl(folder, "workflows", "run", "nap", "--wait-for", "0s").stdout)["run_id"]
    return run_id


def test_a_run_is_drawn_where_it_is(folder: Path) -> None:
    run_id = started(folder)
    done = ksl(folder, "canvas", "nap", "--run", run_id, "--format", "tree", "--expand")
    assert (done.exit_code, done.stderr) == (0, "")
    marks = [line.split("  ")[0].split(" (")[0].rstrip() for line in done.stdout.splitlines()]
    assert marks[0] == "✓ » inner"
    assert "✓ ▸ inner/greet" in done.stdout
    assert "◌ ◷ sleep" in done.stdout
    assert "left" in done.stdout


def test_a_run_of_older_code_is_drawn_on_that_and_says_so(folder: Path) -> None:
    run_id = started(folder)
    version = json.loads(ksl(folder, "runs", "show", run_id).stdout)["code_version"]
    (folder / "workflows" / "nap.py").write_text(FLOW.replace('    await ctx.sleep("1h")\n', ""))
    done = ksl(folder, "canvas", "nap", "--run", run_id, "--format", "tree")
    assert "sleep" in done.stdout
    assert f"drawn from version {version}; the source has changed since" in done.stderr
    assert "sleep" not in ksl(folder, "canvas", "nap", "--format", "tree").stdout


def test_without_a_run_insides_are_opened_too(folder: Path) -> None:
    done = ksl(folder, "canvas", "nap", "--expand", "--format", "tree")
    assert done.stdout.splitlines()[:3] == ["» inner  'Ada'", "┌ ƒ inner()", "│  ▸ inner/greet  name=input"]


def test_a_run_that_is_not_there_is_told(folder: Path) -> None:
    started(folder)
    done = ksl(folder, "canvas", "nap", "--run", "run_x")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "No run has the id run_x" in done.stderr
