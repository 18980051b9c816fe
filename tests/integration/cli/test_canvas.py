from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli

FLOW = """
from ksl import Context, workflow

@workflow
async def nap(ctx: Context) -> int:
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


def test_a_workflow_is_drawn_as_a_tree(folder: Path) -> None:
    done = ksl(folder, "canvas", "nap", "--format", "tree")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "◷ sleep  '1h'\n■ return\n", "")


def test_a_program_gets_json(folder: Path) -> None:
    found = json.loads(ksl(folder, "canvas", "nap").stdout)
    assert (found["workflow"], found["file"], found["unplaced"]) == ("nap", "workflows/nap.py", [])
    assert [block["block"] for block in found["blocks"]] == ["wait", "terminal"]


def test_mermaid_is_printed_bare(folder: Path) -> None:
    assert ksl(folder, "canvas", "nap", "--format", "mermaid").stdout.startswith("flowchart TD\n")


def test_boxes_and_trees_can_be_had_in_ascii(folder: Path) -> None:
    boxes = """\
    ( nap )
       │
╭────────────╮
│ ◷ sleep 1h │
╰────────────╯
       │
 ( ■ return )
"""
    assert ksl(folder, "canvas", "nap", "--format", "boxes").stdout == boxes
    assert "| zz sleep 1h |" in ksl(folder, "canvas", "nap", "--format", "boxes", "--ascii").stdout
    assert ksl(folder, "canvas", "nap", "--ascii").stdout == "zz sleep  '1h'\n# return\n"


@pytest.mark.process
@pytest.mark.parametrize(("columns", "told"), [("11", True), ("14", False)])
def test_boxes_that_a_terminal_has_no_room_for_are_told_of(folder: Path, columns: str, *, told: bool) -> None:
    terminal, stdout = os.openpty()
    with open(terminal, "rb", buffering=0) as reading:
        done = subprocess.run(
            [sys.executable, "-m", "ksl", "-C", str(folder), "canvas", "nap", "--format", "boxes"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=os.environ | {"COLUMNS": columns, "PYTHONUTF8": "1"},
            text=True,
            check=True,
        )
        os.close(stdout)
        assert "sleep 1h" in reading.read(1 << 16).decode()
    assert ("14 columns wide, and the terminal has 11" in done.stderr) == told


def test_a_picture_is_a_file_of_its_own(folder: Path) -> None:
    picture = ksl(folder, "canvas", "nap", "--format", "svg").stdout
    assert picture.startswith("<svg ")
    assert picture.endswith("</svg>\n")
    assert 'data-id="sleep"' in picture


def test_drawing_leaves_nothing_behind(folder: Path) -> None:
    ksl(folder, "canvas", "nap")
    assert not (folder / ".ksl").exists()


def test_an_unknown_workflow_is_refused_with_its_neighbours(folder: Path) -> None:
    done = ksl(folder, "canvas", "naps")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Near names: nap." in done.stderr


def test_a_workflow_is_drawn_beside_a_module_that_does_not_load(folder: Path) -> None:
    (folder / "workflows" / "broken.py").write_text("import nothing_of_that_name\n")
    assert ksl(folder, "canvas", "nap").exit_code == 0
    missing = ksl(folder, "canvas", "other")
    assert missing.exit_code == 2
    assert "1 module did not load" in missing.stderr
