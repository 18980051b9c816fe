"""`ksl dev` as a process: code is changed under a run that waits, and the run goes on with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli
from ksl.log.lock import read_holder

pytestmark = pytest.mark.process

FLOW = """\
from ksl import Context, action, workflow


@action
async def greet(name: str) -> str:
    return f"Hello, {name}"


@workflow
async def approval(ctx: Context) -> str:
    answer = await ctx.hook(title="Who?")
    return await greet.run(name=answer)
"""


class Developing:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ksl", "-C", str(folder), "dev", "--drain", "5s"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        assert self.process.stderr is not None
        self.stderr: IO[str] = self.process.stderr

    def until(self, pattern: str) -> re.Match[str]:
        for line in self.stderr:
            self.said.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError("".join(self.said))

    def save(self, text: str) -> None:
        """As editors do: another file, put in its place."""
        draft = self.folder / "workflows" / "flow.py~"
        draft.write_text(text)
        draft.replace(self.folder / "workflows" / "flow.py")

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.said += self.stderr.readlines()
        return self.process.wait(timeout=30)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "flow.py").write_text(FLOW)
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n[server]\nport = 0\n')
    return tmp_path


@pytest.fixture
def developing(project: Path) -> Iterator[Developing]:
    started = Developing(project)
    yield started
    if started.process.poll() is None:
        children = psutil.Process(started.process.pid).children(recursive=True)
        for process in [psutil.Process(started.process.pid), *children]:
            process.kill()
        started.process.wait(timeout=30)
    started.stderr.close()


def ksl(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args], catch_exceptions=False)


def test_a_run_that_waits_goes_on_with_the_code_as_it_was_saved(
    project: Path, developing: Developing
) -> None:
    url = developing.until(r"serves .* at (\S+): 1 workflow")[1]
    run_id = json.loads(ksl(project, "workflows", "run", "approval", "--detach").stdout)["run_id"]

    developing.save(FLOW.replace("Hello", "Good morning"))
    developing.until(r"Changed: workflows/flow\.py")
    again = developing.until(r"serves .* at (\S+): 1 workflow, 1 unfinished run recovered")[1]

    assert again == url
    assert ksl(project, "hooks", "resume", run_id, "--data", '"Ada"').exit_code == 0
    assert json.loads(ksl(project, "runs", "show", run_id).stdout)["output"] == "Good morning, Ada"
    assert developing.end() == 0
    assert read_holder(project / ".ksl") is None


def test_code_that_does_not_load_leaves_the_server_as_it_is(project: Path, developing: Developing) -> None:
    developing.until("serves")
    holder = read_holder(project / ".ksl")
    assert holder is not None

    developing.save(FLOW + "\nimport nowhere_at_all\n")
    developing.until(r"workflows/flow\.py:\d+ KSL204 .*nowhere_at_all")
    developing.until("goes on with what it has")

    assert read_holder(project / ".ksl") == holder
    developing.save(FLOW.replace("Hello", "Good evening"))
    developing.until("serves")
    assert (now := read_holder(project / ".ksl")) is not None
    assert now.pid != holder.pid
    assert developing.end() == 0


def test_a_project_that_never_loaded_is_waited_for(project: Path) -> None:
    (project / "workflows" / "flow.py").write_text("def broken(:\n")
    developing = Developing(project)
    try:
        developing.until("no server runs")
        developing.save(FLOW)
        developing.until("serves")
        assert developing.end() == 0
    finally:
        if developing.process.poll() is None:
            developing.process.kill()
        developing.stderr.close()


def test_a_broken_rule_stops_one_workflow_and_not_the_server(project: Path, developing: Developing) -> None:
    developing.until("serves")

    developing.save(FLOW + "\n\n@workflow\nasync def forgetful() -> None:\n    greet.run(name='x')\n")
    developing.until(r"KSL003 step greet is never awaited")
    developing.until("runs retry --status held")
    developing.until("serves .* 2 workflows")
    assert sum("KSL003" in line for line in developing.said) == 1

    assert ksl(project, "workflows", "run", "forgetful").exit_code == 1
    assert developing.end() == 0


def test_a_run_that_the_new_code_no_longer_fits_is_told_of_at_the_reload(
    project: Path, developing: Developing
) -> None:
    developing.until("serves")
    run_id = json.loads(ksl(project, "workflows", "run", "approval", "--detach").stdout)["run_id"]

    developing.save(
        FLOW.replace(
            '    answer = await ctx.hook(title="Who?")\n', '    answer = await greet.run(name="x")\n'
        )
    )
    developing.until("1 run that waited no longer fit")

    developing.until("serves")
    assert json.loads(ksl(project, "runs", "show", run_id).stdout)["status"] == "held"
    assert developing.end() == 0
