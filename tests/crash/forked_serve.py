"""`ksl serve` forked from a process that has imported it: the same command, without the start of an interpreter."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import traceback

from ksl.api.server import serve as _answer_http
from ksl.cli import main
from ksl.cli.commands import serve as _serve
from ksl.runtime import Runtime

from tests.crash import dying
from tests.crash.process import Serve

# Imported here so that each life need not do it.
PRELOADED = (_answer_http, _serve, Runtime)


class ForkedServe(Serve):
    def _begin(self, environment: dict[str, str], options: tuple[str, ...]) -> Child:
        child = os.fork()
        if child:
            return Child(child)
        code = 70
        try:
            # What the parent left to its collector is never collected here: a connection among it would close a file
            # of the child's, by a number that has another meaning by now, and SQLite would write into the wrong one.
            gc.freeze()
            said = os.open(self.folder / "stderr", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 0)
            os.dup2(nothing, 1)
            os.dup2(said, 2)
            os.closerange(3, 256)
            # pytest's write to files of their own, whose numbers the child's database would be given next.
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            os.chdir(self.folder)
            os.environ.update(environment)
            sys.argv = ["ksl", "serve", "--port", "0", *options]
            dying.arm()
            code = int(main() or 0)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 70
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)


class Child:
    """What `Serve` asks of a `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        until = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired("ksl serve", timeout or 0)
            time.sleep(0.001)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
