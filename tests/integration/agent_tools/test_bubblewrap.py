"""The tests of the shell once more, in bubblewrap's jail. Every user but root gets it, so root becomes another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ksl

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="its tests use bubblewrap already where it is there"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]
ROOT = Path(ksl.__file__).parents[1]


@pytest.fixture
def home() -> Iterator[Path]:
    """Below a folder that others than root can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def _as_another_user(home: Path, *args: str) -> subprocess.CompletedProcess[str] | None:
    """None where no Python can be run by one: that of the tests may lie in root's own folder."""
    env = {"HOME": str(home), "TMPDIR": str(home), "PATH": os.environ["PATH"]}
    env["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    )
    options: Any = {"user": 1000, "group": 1000, "extra_groups": [], "cwd": home, "env": env}
    for python in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        try:
            subprocess.run(
                [python, "-c", "import ksl, pytest, xdist"], check=True, capture_output=True, **options
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return subprocess.run([python, "-B", *args], capture_output=True, text=True, check=False, **options)
    return None


def test_commands_are_contained_by_bubblewrap(home: Path) -> None:
    tests = ROOT / "tests" / "integration" / "agent_tools" / "test_shell.py"
    options = ["-q", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    done = _as_another_user(home, "-m", "pytest", *options, str(tests))
    if done is None:
        pytest.skip("no Python here can be run by another user than root")
    assert done.returncode == 0, done.stdout
    assert " skipped" not in done.stdout
