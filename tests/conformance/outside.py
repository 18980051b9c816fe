"""A server as a user has it: a process of its own, known by its address, its token and its commands alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

Json = dict[str, Any]


class Outside:
    def __init__(self, folder: Path, url: str) -> None:
        token = (folder / ".ksl" / "token").read_text().strip()
        self.folder = folder
        self.url = url
        self.owner = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )
        self.stranger = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def start(self, workflow: str, input: object = None) -> str:
        answer = self.owner.post(f"/workflows/{workflow}", json=input)
        assert answer.status_code == 202, answer.text
        run_id: str = answer.json()["run_id"]
        return run_id

    def run(self, workflow: str, input: object = None) -> Json:
        """Once it has ended, as `GET /runs/{id}` shows it."""
        answer = self.owner.post(f"/workflows/{workflow}?wait=60s", json=input)
        assert answer.status_code == 200, answer.text
        return self.shown(answer.json()["run_id"])

    def shown(self, run_id: str) -> Json:
        run: Json = self.owner.get(f"/runs/{run_id}").json()
        return run

    def events(self, run_id: str) -> list[Json]:
        events: list[Json] = self.owner.get(f"/runs/{run_id}/events").json()["events"]
        return events

    def until(self, run_id: str, type: str) -> None:
        """Returns once the run has an event of this type."""
        with self.owner.stream("GET", f"/runs/{run_id}/stream") as answer:
            for line in answer.iter_lines():
                if line.startswith("data:") and json.loads(line[5:])["type"] == type:
                    return
        raise AssertionError(f"{run_id} ended without {type}")

    def asked(self, workflow: str) -> tuple[str, str]:
        """A run that waits for a hook, and the path of the hook's link."""
        run_id = self.start(workflow)
        self.until(run_id, "hook_created")
        [hook] = [each for each in self.owner.get("/hooks").json()["hooks"] if each["run_id"] == run_id]
        return run_id, hook["url"].removeprefix(self.url)

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        return command(self.folder, *args)


def command(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ksl", *args],
        cwd=folder,
        env=plain(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def plain() -> dict[str, str]:
    """The environment, without what would set ksl otherwise than its file."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KSL_")}


@contextmanager
def outside(folder: Path) -> Generator[Outside]:
    server = subprocess.Popen(
        [sys.executable, "-m", "ksl", "serve", "--port", "0"],
        cwd=folder, env=plain(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stderr is not None
    try:
        said: list[str] = []
        for line in server.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                running = Outside(folder, found[0])
                with running.owner, running.stranger:
                    yield running
                break
        else:
            raise AssertionError("".join(said))
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
