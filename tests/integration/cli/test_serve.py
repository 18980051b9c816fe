"""`ksl serve` as a process: what it prints, how it stops, what others are told."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import httpx
import psutil
import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli

pytestmark = pytest.mark.process

FLOWS = """\
import asyncio
from pathlib import Path

from ksl import Context, action, workflow


@action
async def linger(seconds: float) -> float:
    Path(__file__).with_name("begun").touch()
    await asyncio.sleep(seconds)
    return seconds


@workflow
async def slow(input: float) -> float:
    return await linger.run(seconds=input)


@workflow
async def approval(ctx: Context) -> str:
    ctx.log.info("asking", who="somebody")
    answer = await ctx.hook(title="Go on?")
    return str(answer)
"""

Start = Callable[..., "Served"]


class Served:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        self.stderr: IO[str] = process.stderr
        self.said: list[str] = []

    def until(self, pattern: str) -> re.Match[str]:
        """Reads stderr up to the line that fits. AssertionError with all of it when the process ends first."""
        for line in self.stderr:
            self.said.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError("".join(self.said))

    @property
    def url(self) -> str:
        return self.until(r"at (http://\S+?):? ")[1].rstrip(":")

    def end(self) -> int:
        self.said += self.stderr.readlines()
        return self.process.wait(timeout=30)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n[server]\nport = 0\n')
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "flows.py").write_text(FLOWS)
    for name in ("KSL_URL", "KSL_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def start(project: Path) -> Iterator[Start]:
    begun: list[subprocess.Popen[str]] = []

    def starting(*args: str, **env: str) -> Served:
        process = subprocess.Popen(
            [sys.executable, "-m", "ksl", "-C", str(project), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | env,
        )
        begun.append(process)
        return Served(process)

    yield starting
    for process in begun:
        process.kill()
        process.communicate()


def ksl(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args], catch_exceptions=False)


def test_a_server_says_how_many_sources_it_watches(project: Path, start: Start):
    imports = "from ksl import CronSource\nfrom workflows.flows import approval\n"
    (project / "triggers").mkdir()
    (project / "triggers" / "daily.py").write_text(
        f"{imports}CronSource('daily', '@daily').attach(approval)\n"
    )
    server = start("serve")
    assert server.url
    assert "2 workflows, 1 trigger, 0 unfinished runs recovered" in server.said[-1]


def test_a_server_is_found_used_and_stopped(project: Path, start: Start):
    server = start("serve")
    url = server.url
    assert "2 workflows, 0 unfinished runs recovered" in server.said[-1]
    # Idle, and with all it has imported for its first request still to come.
    assert psutil.Process(server.process.pid).memory_info().rss < 90 << 20

    waiting = ksl(project, "workflows", "run", "approval")
    run_id = json.loads(waiting.stdout)["run_id"]
    assert (waiting.exit_code, f"ksl hooks resume {run_id}" in waiting.stderr) == (3, True)
    assert json.loads(server.until("asking")[0] and server.said[-1])["who"] == "somebody"
    hook = json.loads(ksl(project, "hooks", "list").stdout)["hooks"][0]
    assert hook["url"].startswith(f"{url}/hooks/")
    resumed = ksl(project, "hooks", "resume", hook["url"], "--data", '"yes"')
    assert (resumed.exit_code, json.loads(resumed.stdout)["run_id"]) == (0, run_id)
    tail = ksl(project, "runs", "tail", run_id)
    assert json.loads(tail.stdout.splitlines()[-1])["type"] == "run_completed"
    assert json.loads(ksl(project, "runs", "show", run_id, "--include", "logs").stdout)["logs"][0]["who"]

    second = ksl(project, "serve")
    assert second.exit_code == 4
    assert f"process {server.process.pid} at {url}" in second.stderr
    checked = {each["check"]: each for each in json.loads(ksl(project, "doctor").stdout)["checks"]}
    assert checked["server"]["found"] == f"process {server.process.pid} at {url} is ready"

    server.process.send_signal(signal.SIGTERM)
    assert server.end() == 0
    assert server.said[-1] == "SIGTERM: stopping.\n"
    assert ksl(project, "runs", "show", run_id, "--field", "output").stdout == "yes\n"


def test_a_killed_server_leaves_a_folder_that_needs_no_cleaning(project: Path, start: Start):
    first = start("serve")
    first.until("ready in")
    run_id = json.loads(ksl(project, "workflows", "run", "approval").stdout)["run_id"]
    first.process.kill()
    first.process.wait()
    second = start("serve")
    assert "1 unfinished run recovered" in second.until("ready in").string
    ksl(project, "hooks", "resume", run_id, "--data", '"yes"')
    assert ksl(project, "runs", "tail", run_id).exit_code == 0


def test_what_no_longer_fits_is_listed_before_the_server_is_ready(project: Path, start: Start):
    run_id = json.loads(ksl(project, "workflows", "run", "approval").stdout)["run_id"]
    code = project / "workflows" / "flows.py"
    asks = 'await ctx.hook(title="Go on?")'
    code.write_text(FLOWS.replace(asks, "await linger.run(seconds=0)"))
    server = start("serve")
    server.until("ready in")
    listed = next(line for line in server.said if "KSL401" in line)
    assert run_id in listed
    assert any("1 run that waited no longer fit" in line for line in server.said)
    code.write_text(FLOWS.replace(asks, f"await linger.run(seconds=0)\n    answer = {asks}"))
    beside = ksl(project, "build", "--runs")
    [run] = json.loads(beside.stdout)["runs"]
    assert (beside.exit_code, run["status"], run["rule"]) == (1, "held", "step-added")
    code.write_text(FLOWS)
    assert ksl(project, "build", "--runs").exit_code == 0
    server.process.send_signal(signal.SIGTERM)
    assert server.end() == 0
    again = start("serve")
    again.until("ready in")
    assert ksl(project, "runs", "retry", "--status", "held", "--yes").exit_code == 0
    assert ksl(project, "hooks", "resume", run_id, "--data", '"yes"').exit_code == 0
    assert ksl(project, "runs", "tail", run_id).exit_code == 0


def test_a_clock_that_was_set_back_is_told_of_at_the_start(project: Path, start: Start):
    ksl(project, "workflows", "run", "approval")
    written = time.time() + 3 * 3600
    os.utime(project / ".ksl" / "ksl.db", (written, written))
    server = start("serve")
    server.until("ready in")
    assert any("The clock was set back" in line for line in server.said)
    server.process.send_signal(signal.SIGTERM)
    assert server.end() == 0
    again = start("serve")
    again.until("ready in")
    assert not any("The clock was set back" in line for line in again.said)


BLOCKING = """\
import time

from ksl import workflow


@workflow
async def blocking() -> str:
    time.sleep(2)
    return "at last"
"""


def test_a_body_that_blocks_the_server_is_told_of_with_its_line(project: Path, start: Start):
    (project / "workflows" / "blocking.py").write_text(BLOCKING)
    server = start("serve")
    server.until("ready in")
    ended = ksl(project, "workflows", "run", "blocking")
    assert json.loads(ended.stdout)["output"] == "at last"
    told = server.until("the event loop has been blocked").string
    assert 'blocking.py\\", line 8, in blocking' in told


def test_a_server_out_of_file_descriptors_goes_on_and_says_so_once(project: Path, start: Start):
    server = start("serve")
    url = httpx.URL(server.url)
    token = (project / ".ksl" / "token").read_text().strip()
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30
    ) as client:
        client.get("/readyz").raise_for_status()
        open_now = psutil.Process(server.process.pid).num_fds()
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (open_now + 8, 4096))
        crowd = [socket.create_connection((url.host, url.port or 0)) for _ in range(40)]
        server.until("out of system resource")
        # The connection that it has, and the run's database, are open.
        run = client.post("/workflows/approval")
        assert run.status_code == 202
        for each in crowd:
            each.close()
        while not _answers(url):
            pass
        shown = client.get(f"/runs/{run.json()['run_id']}").json()
        assert shown["status"] == "waiting"
    server.process.send_signal(signal.SIGTERM)
    assert server.end() == 0
    assert sum("out of system resource" in line for line in server.said) < 4


def _answers(url: httpx.URL) -> bool:
    try:
        return httpx.get(url.join("/healthz"), trust_env=False, timeout=0.5).status_code == 200
    except httpx.TransportError:
        return False


def test_the_first_signal_lets_a_step_finish_and_the_second_does_not(project: Path, start: Start):
    server = start("serve", "--drain", "1h")
    server.until("ready in")
    ksl(project, "workflows", "run", "slow", "--input", "3600", "--timeout", "0.2s")
    server.process.send_signal(signal.SIGINT)
    server.until("steps in flight have 1h")
    server.process.send_signal(signal.SIGINT)
    assert server.end() == 128 + signal.SIGINT
    run = json.loads(ksl(project, "runs", "list").stdout)["runs"][0]
    assert run["status"] == "running"


def test_a_local_run_that_is_interrupted_is_left_not_cancelled(project: Path, start: Start):
    command = start("workflows", "run", "slow", "--input", "3600")
    run_id = command.until(r"(run_\w+) running")[1]  # the line of a run that takes long
    command.process.send_signal(signal.SIGINT)
    assert command.end() == 130
    assert f"Left run {run_id} as it is" in "".join(command.said)
    assert ksl(project, "runs", "show", run_id, "--field", "status").stdout == "running\n"


def test_a_port_in_use_is_said_before_anything_is_opened(project: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ksl(project, "serve", "--port", str(port))
    assert (done.exit_code, done.stdout) == (4, "")
    assert f"KSL607 Port {port}" in done.stderr
    assert not (project / ".ksl" / "ksl.db").exists()


def test_code_that_does_not_load_keeps_serve_from_starting(project: Path):
    (project / "workflows" / "broken.py").write_text("\nimport nothing_of_this_name\n")
    done = ksl(project, "serve")
    assert done.exit_code == 1
    assert "workflows/broken.py:2" in done.stderr
    assert "--keep-going" in done.stderr


def test_with_keep_going_it_serves_what_loaded(project: Path, start: Start):
    (project / "workflows" / "broken.py").write_text("\nimport nothing_of_this_name\n")
    server = start("serve", "--keep-going")
    server.until("ready in")
    assert "workflows/broken.py:2" in "".join(server.said)
    done = ksl(project, "workflows", "run", "slow", "--input", "0")
    assert done.exit_code == 0, done.output


def test_other_machines_are_let_in_only_with_a_token(project: Path, start: Start):
    done = ksl(project, "serve", "--host", "0.0.0.0")
    assert (done.exit_code, "KSL206" in done.stderr) == (2, True)
    server = start("serve", "--host", "0.0.0.0", KSL_TOKEN="a-token-of-some-length")
    server.until("ready in")
    # The token was adopted, so commands on this machine find it.
    assert ksl(project, "runs", "list").exit_code == 0
    assert (project / ".ksl" / "token").stat().st_mode & 0o777 == 0o600


def test_serve_outside_a_project_is_a_usage_error(tmp_path: Path):
    assert ksl(tmp_path, "serve").exit_code == 2


def test_a_store_that_cannot_be_opened_is_exit_4(project: Path):
    (project / ".ksl" / "ksl.db").mkdir(parents=True)
    done = ksl(project, "serve")
    assert (done.exit_code, "KSL500" in done.stderr) == (4, True)


def test_a_store_that_fails_ends_the_server_with_exit_5_and_says_so(project: Path, start: Start):
    server = start("serve")
    server.until("ready in")
    # From now on no file can grow, which SQLite is told as an I/O error.
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    refused = ksl(project, "workflows", "run", "slow", "--input", "0")
    assert (refused.exit_code, refused.stdout) == (5, "")
    assert server.end() == 5
    assert "KSL502" in "".join(server.said)


def test_what_becomes_of_runs_is_logged_and_kept_to_be_read(project: Path, start: Start):
    server = start("serve")
    url = server.url
    token = (project / ".ksl" / "token").read_text().strip()
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30
    ) as client:
        run_ids: list[str] = []
        for verb in ("cancel", "pause"):
            run_id: str = client.post("/workflows/approval").json()["run_id"]
            while client.get(f"/runs/{run_id}").json()["status"] != "waiting":
                time.sleep(0.02)
            assert client.post(f"/runs/{run_id}/{verb}", json={"reason": "not now"}).status_code == 202
            run_ids.append(run_id)
        assert server.until(rf'"level": "info", "message": "run {run_ids[0]} of approval was cancelled"')
        assert server.until(rf'"message": "run {run_ids[1]} of approval is held: Paused: not now"')
        kept = [line["message"] for line in client.get("/log").json()["lines"]]
    assert any(text.startswith("ksl serves ") for text in kept)
    assert [text for text in kept if text.startswith("run ")] == [
        f"run {run_ids[0]} of approval was cancelled",
        f"run {run_ids[1]} of approval is held: Paused: not now",
    ]


def test_every_beginning_and_end_is_logged_where_everything_is(project: Path, start: Start):
    server = start("serve", KSL_DEBUG="1")
    assert server.url
    done = ksl(project, "workflows", "run", "slow", "--input", "0")
    assert done.exit_code == 0, done.output
    assert server.until(r'"level": "debug", "message": "run \w+ of slow began"')
    assert server.until(r'"level": "debug", "message": "run \w+ of slow succeeded"')
