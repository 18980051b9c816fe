"""System calls of a process that fail or kill it, by strace attached before it begins."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

ATTACH_S = 10.0


def why_not() -> str | None:
    """Why calls cannot be made to fail here; None when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True)
    return f"strace is not permitted here: {probe.stderr.strip()}" if probe.returncode else None


class Injection:
    """`fault` as strace says it: `pwrite64:signal=KILL:when=3`, `fsync,fdatasync:error=EIO:when=2+`.

    The count is of each thread's own calls; ksl writes from one.
    """

    def __init__(self, fault: str, log: Path) -> None:
        self._fault = fault
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def happened(self) -> int:
        """How many calls were tampered with. Ask when the process is dead."""
        self.wait()
        return self._log.read_text(errors="replace").count("(INJECTED)") if self._log.exists() else 0

    def wait(self) -> None:
        """strace ends with the process it is attached to."""
        if self._process is not None:
            self._process.wait(timeout=ATTACH_S)

    def attach(self, pid: int) -> None:
        calls = self._fault.partition(":")[0]
        flags = ["-f", "-qq", "-o", str(self._log), "-e", f"trace={calls}", "-e", f"inject={self._fault}"]
        self._process = subprocess.Popen(["strace", *flags, "-p", str(pid)], stderr=subprocess.DEVNULL)
        status = Path(f"/proc/{pid}/status")
        until = time.monotonic() + ATTACH_S
        while "TracerPid:\t0\n" in status.read_text():
            assert self._process.poll() is None, "strace ended"
            assert time.monotonic() < until, "strace does not attach"
            time.sleep(0.001)
