from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.docs.console import Command, File, blocks
from tests.docs.playing import play

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "README.md"


@pytest.mark.process
@pytest.mark.slow
def test_the_first_screen_runs_as_printed_kill_included(tmp_path: Path) -> None:
    assert any("kill -9" in block.text for block in blocks(PAGE) if isinstance(block, Command))
    play(PAGE, tmp_path)


def test_the_workflow_of_the_first_screen_has_fifteen_lines() -> None:
    (workflow,) = [block.content for block in blocks(PAGE) if isinstance(block, File)]
    assert len([line for line in workflow.splitlines() if line]) <= 15


@pytest.mark.slow
def test_the_install_line_installs_every_file_that_ksl_needs(tmp_path: Path) -> None:
    """`pip install .`, up to the wheel; on a copy, since building leaves files beside the sources."""
    source = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ksl", source / "ksl", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    flags = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path)]
    subprocess.run([*pip, "wheel", *flags, str(source)], check=True, capture_output=True)

    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("ksl/")}
    files = {path for path in (source / "ksl").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert packed == {path.relative_to(source).as_posix() for path in files}


def test_the_commands_for_a_bare_machine_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", PAGE.read_text()))
    assert {"demo", "test"} <= named <= targets
