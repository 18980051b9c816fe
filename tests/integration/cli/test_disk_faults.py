"""`ksl serve` on a disk that fills up, breaks, or cannot be used: what it answers, and what is true afterwards."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.cli.test_serve import Served
from tests.integration.log.test_store_faults import mounted

pytestmark = pytest.mark.process

FLOWS = """\
import asyncio
from pathlib import Path

from ksl import Context, action, workflow

HERE = Path(__file__).parent


@action
async def linger(value: str) -> str:
    with (HERE / "ledger").open("a") as ledger:
        ledger.write(value + "\\n")
    while not (HERE / "go").exists():
        await asyncio.sleep(0.01)
    return value * 50_000


@workflow
async def slow(input: str) -> int:
    lingered = await linger.run(value=input)
    return len(lingered)


@workflow
async def approval(ctx: Context) -> str:
    answer = await ctx.hook(title="Go on?")
    return str(answer)
"""
PATIENCE_S = 30.0


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begun: list[Served] = []
        (folder / "workflows").mkdir(parents=True)
        (folder / "workflows" / "flows.py").write_text(FLOWS)
        (folder / "ksl.toml").write_text("[server]\nport = 0\n")

    def serve(self, *before: str) -> Served:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "ksl", "-C", str(self.folder), "serve"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.begun.append(Served(process))
        return self.begun[-1]

    def client(self, server: Served) -> httpx.Client:
        url = server.url
        token = (self.folder / ".ksl" / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=url, headers=headers, timeout=PATIENCE_S, trust_env=False)


@pytest.fixture
def project(tmp_path: Path) -> Generator[Project]:
    made = Project(tmp_path / "project")
    yield made
    for server in made.begun:
        server.process.kill()
        server.process.communicate()


def until(look: Callable[[], Any]) -> Any:
    """What the look gave, as soon as it is something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def fill(path: Path) -> None:
    """To the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)


def test_a_full_disk_is_said_refuses_and_passes_by_itself(project: Project) -> None:
    with mounted(project.folder / ".ksl", options="size=4m,mode=700") as small:
        server = project.serve()
        with project.client(server) as client:

            def run(run_id: str) -> Any:
                return client.get(f"/runs/{run_id}").json()

            asking = client.post("/workflows/approval", json=None).json()["run_id"]
            slow = client.post("/workflows/slow", json="a").json()["run_id"]
            ledger = project.folder / "workflows" / "ledger"
            until(lambda: run(asking)["status"] == "waiting" and ledger.exists())
            fill(small / "ballast")

            refused = client.post("/workflows/slow", json="b", headers={"Idempotency-Key": "once"})
            assert (refused.status_code, refused.json()["code"]) == (503, "KSL501")
            answered = client.post(f"/runs/{asking}/hooks/resume", json={"payload": "lost"})
            assert (answered.status_code, answered.json()["code"]) == (503, "KSL501")
            (project.folder / "workflows" / "go").touch()  # the step ends, and its outcome finds no space
            ready = client.get("/readyz")
            assert (ready.status_code, "no space" in ready.json()["reason"]) == (503, True)
            assert [each["run_id"] for each in client.get("/runs").json()["runs"]] == [slow, asking]
            assert client.get("/healthz").status_code == 200
            until(lambda: "leaves memory" in server.stderr.readline())

            (small / "ballast").unlink()
            until(lambda: client.get("/readyz").status_code == 200)
            until(lambda: run(slow)["status"] == "succeeded")
            assert run(slow)["output"] == 50_000
            assert run(asking)["status"] == "waiting"
            resumed = client.post(f"/runs/{asking}/hooks/resume", json={"payload": "kept"})
            assert resumed.status_code == 200
            until(lambda: run(asking)["output"] == "kept")
            again = client.post("/workflows/slow", json="b", headers={"Idempotency-Key": "once"})
            assert again.status_code == 202
            until(lambda: run(again.json()["run_id"])["status"] == "succeeded")
            assert ledger.read_text() == "a\nb\n"
        server.process.terminate()
        assert server.process.wait(timeout=PATIENCE_S) == 0
        with closing(sqlite3.connect(small / "ksl.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT count(*) FROM run").fetchone() == (3,)


def test_a_flush_that_fails_ends_the_server_with_5_and_what_was_acknowledged_is_there(
    project: Project,
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace, which makes the flush fail, is not installed")
    fault = [
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:error=EIO:when=60+",
    ]
    probe = subprocess.run(["strace", *fault, "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"strace is not permitted here: {probe.stderr.strip()}")
    server = project.serve("strace", *fault)
    acknowledged: list[str] = []
    with project.client(server) as client:
        while True:
            try:
                answer = client.post("/workflows/approval", json=None)
            except httpx.TransportError:
                break
            if answer.status_code != 202:
                assert answer.json()["code"] == "KSL502"
                break
            acknowledged.append(answer.json()["run_id"])
    assert server.end() == 5
    assert "KSL502" in "".join(server.said)
    assert acknowledged
    second = project.serve()
    with project.client(second) as client:
        until(lambda: client.get("/runs?status=waiting&limit=1000").json()["runs"] != [])
        known = {each["run_id"] for each in client.get("/runs?limit=1000").json()["runs"]}
        assert set(acknowledged) <= known


@pytest.mark.parametrize("fault", ["a folder", "no database", "of another program", "locked", "read-only"])
def test_a_store_that_cannot_be_opened_ends_serve_with_4(project: Project, fault: str) -> None:
    path = project.folder / ".ksl" / "ksl.db"
    path.parent.mkdir(mode=0o700)
    locking = None
    if fault == "a folder":
        path.mkdir()
    elif fault == "no database":
        path.write_bytes(b"x" * 8_192)
    elif fault == "read-only":
        with mounted(project.folder / "ro", options="size=1m,ro") as folder:
            (project.folder / "ksl.toml").write_text(
                f'[store]\npath = "{folder}/ksl.db"\n[server]\nport = 0\n'
            )
            refused(project)
        return
    else:
        locking = sqlite3.connect(path, isolation_level=None)
        locking.execute("CREATE TABLE mine (a)")
        if fault == "locked":
            locking.execute("DROP TABLE mine")
            locking.execute("PRAGMA journal_mode = WAL").fetchone()
            locking.execute("BEGIN IMMEDIATE")
    try:
        refused(project)
    finally:
        if locking is not None:
            locking.close()


def refused(project: Project) -> None:
    server = project.serve()
    assert server.end() == 4
    said = "".join(server.said)
    assert "KSL50" in said
    assert "Traceback" not in said


def test_a_damaged_event_holds_its_own_run_and_no_other(project: Project) -> None:
    server = project.serve()
    with project.client(server) as client:
        runs = [client.post("/workflows/slow", json=value).json()["run_id"] for value in ("a", "b")]
        ledger = project.folder / "workflows" / "ledger"
        until(lambda: ledger.exists() and len(ledger.read_text()) == 4)
    server.process.kill()
    server.process.wait()
    with closing(sqlite3.connect(project.folder / ".ksl" / "ksl.db")) as connection:
        connection.execute("UPDATE event SET data = '\"z\"' WHERE run_id = ? AND seq = 1", (runs[0],))
        connection.commit()
    (project.folder / "workflows" / "go").touch()

    second = project.serve()
    with project.client(second) as client:

        def run(run_id: str) -> Any:
            return client.get(f"/runs/{run_id}").json()

        until(lambda: run(runs[0])["status"] == "held" and run(runs[1])["status"] == "succeeded")
        newest = sqlite3.connect(project.folder / ".ksl" / "ksl.db").execute(
            "SELECT type, data FROM event WHERE run_id = ? ORDER BY seq DESC LIMIT 1", (runs[0],)
        )
        type, data = newest.fetchone()
        assert (type, json.loads(data)["type"]) == ("run_held", "DamagedEvent")
        assert client.post(f"/runs/{runs[0]}/cancel", json={}).status_code == 202
        assert run(runs[0])["status"] == "cancelled"
