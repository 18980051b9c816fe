"""A real `ksl serve` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from types import TracebackType

import ksl

COMMAND = (sys.executable, "-m", "ksl")


class Server:
    """`ready_s` is the time from the start of the process to its answering HTTP."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = ""
        self.token = ""
        self.ready_s = 0.0

    def __enter__(self) -> Server:
        began = perf_counter()
        self._process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0"],
            cwd=self._folder,
            env=_env(),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        said: list[str] = []
        for line in self._process.stderr:
            said.append(line)
            if found := re.search(r"at (http://\S+):.* ready in", line):
                self.ready_s = perf_counter() - began
                self.url = found[1]
                self.token = (self._folder / ".ksl" / "token").read_text().strip()
                return self
        raise RuntimeError("ksl serve did not start:\n" + "".join(said))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate()

    def peak_mb(self) -> float:
        """The most memory the process has had resident."""
        return self._status("VmHWM")

    def resident_mb(self) -> float:
        return self._status("VmRSS")

    def _status(self, field: str) -> float:
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1024


def took_s(*arguments: str) -> float:
    """A command of Python's, from start to end, its output unseen."""
    began = perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env=_env(),
    )
    return perf_counter() - began


def _env() -> dict[str, str]:
    """The ksl that is measured in process is the one to start, whichever is installed."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPATH": str(Path(ksl.__file__).parent.parent)}
