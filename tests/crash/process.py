"""A `ksl serve` of a project folder, as a process of its own that may die at any moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import httpx

ROOT = Path(__file__).parents[2]
READY_S = 30.0


class Died(Exception):
    """The process is gone; what was asked of it may or may not have been done."""


class Process(Protocol):
    """The part of `subprocess.Popen` that is used here."""

    pid: int
    returncode: Any

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...


class Serve:
    """Errors: Died from everything that asks, once the process is dead."""

    def __init__(
        self, folder: Path, *, environment: dict[str, str] | None = None, options: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.began_s = time.monotonic()
        self.process = self._begin(environment or {}, options)
        self._client: httpx.Client | None = None

    def __enter__(self) -> Serve:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        if self._client is not None:
            self._client.close()

    def client(self) -> httpx.Client:
        """Waits until it answers."""
        while self._client is None:
            if (url := self._url()) is not None:
                token = (self.folder / ".ksl" / "token").read_text().strip()
                self._client = httpx.Client(
                    base_url=url,
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=30.0,
                    trust_env=False,
                )
            elif self.process.poll() is not None:
                raise Died
            elif time.monotonic() > self.began_s + READY_S:
                raise AssertionError(f"not ready after {READY_S} s:\n{self.said()}")
            else:
                time.sleep(0.01)
        return self._client

    def ask(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        try:
            return self.client().request(method, path, json=json, headers=headers)
        except httpx.TransportError as error:
            self.process.wait(timeout=10)
            raise Died from error

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def said(self) -> str:
        return (self.folder / "stderr").read_text()

    def _begin(self, environment: dict[str, str], options: tuple[str, ...]) -> Process:
        with (self.folder / "stderr").open("ab") as stderr:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.crash.server", "serve", "--port", "0", *options],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def _url(self) -> str | None:
        try:
            holder = json.loads((self.folder / ".ksl" / "lock").read_bytes())
        except (OSError, ValueError):
            return None
        return holder["url"] if holder.get("pid") == self.process.pid else None
