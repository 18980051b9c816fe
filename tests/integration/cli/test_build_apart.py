"""`ksl build` over files that do what they like while they are imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.big_project import write_big_project

pytestmark = pytest.mark.process

FINE = """\
from ksl import workflow


@workflow
async def fine() -> int:
    return 1
"""
HANG = """\
import time


def wait():
    time.sleep(1000)


wait()
"""


def build(folder: Path, *args: str, code: int = 1) -> dict[str, Any]:
    command = [sys.executable, "-m", "ksl", "-C", str(folder), "build", "--format", "json", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) | {"stderr": done.stderr}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").write_text("")
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "fine.py").write_text(FINE)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (HANG, 5, "TimeoutError: the import did not end within 1s (--import-timeout)"),
        ("while True:\n    pass\n", None, "TimeoutError: the import did not end within 1s (--import-timeout)"),
        ("import threading\n\nthreading.Lock().acquire()\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()\n",
         6, "TimeoutError: the import did not end within 1s (--import-timeout)"),
        ("import sys\n\nsys.exit(3)\n", 3, "SystemExit: 3"),
        ("class Odd(BaseException): ...\n\n\nraise Odd('no')\n", 4, "Odd: no"),
        ("import os\n\nos._exit(0)\n", 3, "os._exit(0) ended the process that imported the project"),
        ("import os\n\nos.kill(os.getpid(), 9)\n", 3,
         "os.kill with SIGKILL ended the process that imported the project"),
        ("import ctypes\n\nctypes.string_at(0)\n", 3, "SIGSEGV ended the process that imported the project"),
        ("import os\n\nos.execv('/bin/true', ['true'])\n", 1,
         "the process that imported the project ended by itself, with exit code 0"),
        ("input()\n", 1, "EOFError: EOF when reading a line"),
        ("raise KeyboardInterrupt\n", 1, "KeyboardInterrupt ended the process that imported the project"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_come_to_an_end_is_told_of_and_the_rest_goes_on(
    folder: Path, text: str, line: int | None, message: str
) -> None:
    (folder / "workflows" / "bad.py").write_text(text)
    (folder / "workflows" / "zuser.py").write_text("import workflows.bad\n")
    built = build(folder, "--import-timeout", "1s")
    assert built["workflows"] == ["fine"]
    [first, second] = built["errors"]
    assert (first["file"], first["message"], first["code"]) == ("workflows/bad.py", message, "KSL204")
    assert line is None or first["line"] == line
    if first["line"] > 1:
        assert f'bad.py", line {first["line"]}, in ' in first["traceback"]
        at: int = first["line"]
        assert text.splitlines()[at - 1].strip() in first["traceback"]
    assert (second["file"], second["line"]) == ("workflows/zuser.py", 1)


def test_a_file_beside_the_folders_that_hangs_costs_its_time_once(folder: Path) -> None:
    (folder / "slow_lib.py").write_text(HANG)
    for name in ("one", "two", "three"):
        (folder / "workflows" / f"{name}.py").write_text("import slow_lib\n")
    built = build(folder, "--import-timeout", "1s")
    assert [(each["file"], each["line"]) for each in built["errors"]] == [
        ("slow_lib.py", 5),
        ("workflows/three.py", 1),
        ("workflows/two.py", 1),
    ]


def test_an_import_inside_a_workflow_that_hangs_is_told_of_too(folder: Path) -> None:
    (folder / "slow_lib.py").write_text(HANG)
    text = "from ksl import workflow\n\n\n@workflow\nasync def late() -> int:\n    from slow_lib import act\n"
    (folder / "workflows" / "late.py").write_text(text + "    return await act.run()\n")
    built = build(folder, "--import-timeout", "1s")
    assert built["workflows"] == ["fine"]
    assert [(each["file"], each["line"]) for each in built["errors"]] == [("slow_lib.py", 5)]


def test_what_a_module_prints_or_leaves_running_does_not_disturb(folder: Path) -> None:
    text = "import os, threading, time\nprint('hello')\nos.write(1, b'raw')\nos.system('echo shell')\n"
    text += "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
    (folder / "workflows" / "noisy.py").write_text(text)
    built = build(folder, code=0)
    assert (built["ok"], built["workflows"], built["errors"]) == (True, ["fine"], [])
    assert all(word in built["stderr"] for word in ("hello", "raw", "shell"))


# Linux counts what the process that forked had in memory as the child's peak, and a process of tests has much:
# the build is started and waited for by a small process of its own.
MEASURED = """\
import os, subprocess, sys

_, status, used = os.wait4(subprocess.Popen(sys.argv[1:]).pid, 0)
print(used.ru_maxrss >> 10, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_two_hundred_files_are_built_in_little_time_and_room(tmp_path: Path) -> None:
    write_big_project(tmp_path, 200)
    began = time.monotonic()
    command = [sys.executable, "-m", "ksl", "-C", str(tmp_path), "build", "--format", "json"]
    built = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], capture_output=True, text=True, check=False
    )
    took = time.monotonic() - began
    assert built.returncode == 0
    assert len(json.loads(built.stdout)["workflows"]) == 200
    peak = int(built.stderr.splitlines()[-1])  # of the build and the processes that it waited for
    print(f"200 files in {took:.2f} s, at most {peak} MiB, {os.cpu_count()} cores")
    assert 10 < peak < 300


def test_without_importing_nothing_of_the_project_runs_and_the_output_says_so(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / "workflows" / f"{name}.py").write_text(
            "import os\nos._exit(9)\n" + FINE.replace("fine", name)
        )
    built = build(folder, "--no-import", code=0)
    assert (built["imported"], built["workflows"]) == (False, ["fine", "one", "two"])
    assert "imported" not in build(folder)
    refused = subprocess.run(
        [sys.executable, "-m", "ksl", "-C", str(folder), "build", "--no-import", "--runs"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (refused.returncode, "--no-import runs none of it" in refused.stderr) == (2, True)


def test_a_canvas_is_drawn_beside_a_file_that_hangs(folder: Path) -> None:
    (folder / "workflows" / "hangs.py").write_text(HANG)
    command = [sys.executable, "-m", "ksl", "-C", str(folder), "canvas"]
    options = ["--format", "tree", "--import-timeout", "1s"]
    done = subprocess.run([*command, "fine", *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "■ return\n")
    done = subprocess.run([*command, "missing", *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "1 module did not load" in done.stderr


def test_a_body_that_never_comes_to_an_end_does_not_hold_up_the_rehearsal_of_runs(folder: Path) -> None:
    ask = "from ksl import Context, workflow\n\n\n@workflow\nasync def ask(ctx: Context) -> None:\n"
    (folder / "workflows" / "ask.py").write_text(ask + "    await ctx.hook()\n")
    command = [sys.executable, "-m", "ksl", "-C", str(folder)]
    assert (
        subprocess.run([*command, "workflows", "run", "ask"], capture_output=True, check=False).returncode
        == 3
    )
    (folder / "workflows" / "ask.py").write_text(ask + "    while True:\n        pass\n")
    done = subprocess.run(
        [*command, "build", "--runs", "--import-timeout", "2s"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert 'workflows/ask.py", line ' in done.stderr
    assert "the replay of an unfinished run did not end within 2s" in done.stderr
