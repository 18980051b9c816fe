"""What a command does where its stdout is closed, full, or not read to its end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ksl.cli.streams import read_to_where_it_is_left

KSL = f"{sys.executable} -m ksl"
pytestmark = pytest.mark.process


def sh(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").touch()
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "w.py").write_text(
        "from ksl import workflow\n\n\n@workflow\nasync def w() -> str:\n    return 'done'\n"
    )
    return tmp_path


def test_a_run_whose_output_nobody_wants_is_made_all_the_same(project: Path) -> None:
    done = sh(project, f"exec {KSL} workflows run w >&-")
    assert (done.returncode, done.stderr) == (0, "")
    assert sh(project, f"{KSL} runs list").stdout.count('"status": "succeeded"') == 1


@pytest.mark.parametrize("command", ["--help", "runs list", "build", "workflows run w"])
def test_a_full_disk_below_stdout_is_said_in_a_sentence(command: str, project: Path) -> None:
    done = sh(project, f"exec {KSL} {command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == (
        "Stdout could not be written: No space left on device. Only what was to be printed is lost; what the "
        "command has stored stays stored.\n"
    )


def test_whoever_stops_reading_is_told_nothing(project: Path) -> None:
    done = sh(project, f"{KSL} --help | true")
    assert done.stderr == ""


def test_screens_are_not_drawn_into_a_file(project: Path) -> None:
    done = sh(project, f"exec {KSL} tui < /dev/null")
    assert (done.returncode, done.stdout) == (2, "")
    assert "The screens need a terminal, and there is none here." in done.stderr


async def test_a_stream_ends_where_its_reader_leaves_it() -> None:
    ended: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            ended.append("now")

    async def read_one() -> None:
        async with read_to_where_it_is_left(numbers()) as items:
            async for _ in items:
                raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await read_one()
    assert ended == ["now"]
