"""Small git repositories whose every number is known."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


class Repo:
    """A repository in a folder of its own. Nothing of the machine's git settings applies to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, **environment: str) -> str:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env=kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(
        self,
        files: dict[str, str | bytes],
        *,
        author: str = "Ada",
        email: str = "ada@example.org",
        at: str = "2025-03-03T09:30:00+01:00",
    ) -> None:
        """Writes the files and commits everything. 3 March 2025 was a Monday."""
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "--all")
        self.git(
            *("commit", "--quiet", "--allow-empty", "--no-verify", "-m", "a change"),
            GIT_AUTHOR_NAME=author,
            GIT_AUTHOR_EMAIL=email,
            GIT_AUTHOR_DATE=at,
            GIT_COMMITTER_NAME=author,
            GIT_COMMITTER_EMAIL=email,
            GIT_COMMITTER_DATE=at,
        )


@pytest.fixture
def new_repo(tmp_path: Path) -> Callable[[str], Repo]:
    return lambda name: Repo(tmp_path / name)


@pytest.fixture
def repo(new_repo: Callable[[str], Repo]) -> Repo:
    """Three commits by two people: lines added and removed, a rename, a binary file, an odd name."""
    made = new_repo("garden")
    made.commit({"beds.txt": "peas\nbeans\nleeks\n", "odd\tname\n|`x`.txt": "one\n"})
    made.git("mv", "beds.txt", "plan.txt")
    made.commit(
        {"plan.txt": "peas\nbeans\nleeks\nkale\n"},
        author="Grace | *Hopper*",
        email="grace@example.org",
        at="2025-03-04T22:15:00-05:00",
    )
    made.commit(
        {"seeds.bin": b"\0\1\2" * 1000, "plan.txt": "peas\nleeks\nkale\n"}, at="2025-03-05T09:10:00+01:00"
    )
    return made
