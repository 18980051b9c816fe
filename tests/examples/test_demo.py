from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]


def demo(project: Path, reports: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(project / "examples" / "demo.py")],
        env=os.environ | {"KSL_REPORTS": str(reports)} | environment,
        cwd=reports.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
    )


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The project as an archive of it would be: without a history."""
    folder = tmp_path / "unpacked"
    for name in ("workflows", "actions", "agents", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "ksl.toml", folder)
    return folder


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("history", ["none", "shallow"])
def test_the_demo_holds_and_leaves_no_process(unpacked: Path, tmp_path: Path, history: str) -> None:
    project = unpacked
    if history == "shallow":
        project = shallow_clone_of(unpacked, tmp_path / "shallow")
    # Git must not find a repository around the temporary folder of this test.
    done = demo(project, tmp_path / "reports", GIT_CEILING_DIRECTORIES=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything held" in done.stdout
    pids = [int(pid) for pid in re.findall(r"process (\d+) listens", done.stdout)]
    assert len(pids) == 2
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["repo-report.md"]


def shallow_clone_of(folder: Path, clone: Path) -> Path:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    for arguments in (
        ("init", "--quiet"),
        ("add", "--all"),
        (*who, "commit", "--quiet", "-m", "one"),
        (*who, "commit", "--quiet", "--allow-empty", "-m", "two"),
        ("clone", "--quiet", "--depth=1", f"file://{folder}", str(clone)),
    ):
        subprocess.run(
            ["git", *arguments], cwd=folder, env=clean, check=True, capture_output=True, timeout=60
        )
    return clone


def test_the_demo_says_what_is_missing_and_fails(tmp_path: Path) -> None:
    done = demo(ROOT, tmp_path / "reports", PATH="")
    assert done.returncode == 1
    assert "git is not installed" in done.stderr
