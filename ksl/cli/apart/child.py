"""The process that imports the project: it says which file it is at, then what came of all."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from ksl.errors import KslError

Json = dict[str, Any]


def main(spec: Json) -> NoReturn:
    """`spec` is what the parent says; see `parent`. Ends the process at once, whatever modules have started."""
    told = _Told(spec)
    try:
        answer = _answer(spec, told)
    except KslError as error:
        answer = {"error": {"code": error.code, "detail": error.message}}
    except BaseException:
        answer = {"fault": traceback.format_exc()}
    faulthandler.cancel_dump_traceback_later()
    told.tell(answer)
    sys.stdout.flush()
    sys.stderr.flush()
    told.leave(0)


def _answer(spec: Json, told: _Told) -> Json:
    from ksl.build.config import load_settings
    from ksl.build.discover import discover
    from ksl.build.failure import ImportFailure
    from ksl.cli.apart.tasks import TASKS

    settings = load_settings(Path(spec["folder"]), os.environ)
    folders = settings.project
    try:
        project = discover(
            settings.folder,
            names=(folders.workflows, folders.actions, folders.agents, folders.triggers),
            announce=told.importing,
            refused={name: ImportFailure(**failure) for name, failure in spec["refused"].items()},
        )
    except KeyboardInterrupt as error:  # of a module; one from the keyboard ends the parent too
        told.tell_ending("KeyboardInterrupt", traceback.extract_tb(error.__traceback__))
        told.leave(1)
    told.has_imported()
    return {"done": TASKS[spec["task"]](settings, project, told.still_alive, **spec["options"])}


class _Told:
    """What the parent is told, by a pipe that nothing else knows of."""

    def __init__(self, spec: Json) -> None:
        self._pipe: int = spec["tell"]
        self._dump: int = spec["dump"]
        self._limit_s: float = spec["limit_s"]
        for handle in (self._pipe, self._dump):
            os.set_inheritable(handle, False)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)  # a module that asks on stdin must not wait for ever
        os.close(nothing)
        faulthandler.enable(self._dump)
        self.leave = os._exit
        self._kill = os.kill
        os._exit = self._exits
        os.kill = self._kills

    def tell(self, value: Json) -> None:
        rest = memoryview(json.dumps(value).encode() + b"\n")
        while rest:
            rest = rest[os.write(self._pipe, rest) :]

    def importing(self, module: str, file: Path) -> None:
        """The clock starts for this file."""
        self.tell({"importing": module, "file": str(file)})
        self.still_alive()

    def has_imported(self) -> None:
        """What follows reads and runs nothing of the project, however large it is."""
        self.tell({"importing": "", "file": ""})
        faulthandler.cancel_dump_traceback_later()

    def still_alive(self) -> None:
        """The clock starts anew."""
        faulthandler.dump_traceback_later(self._limit_s, exit=True, file=self._dump)

    def _exits(self, code: int) -> NoReturn:
        self.tell_ending(f"os._exit({code})", traceback.extract_stack())
        self.leave(code)

    def _kills(self, pid: int, number: int, /) -> None:
        if pid in (0, os.getpid()) and number not in (0, signal.SIGCHLD, signal.SIGCONT, signal.SIGWINCH):
            self.tell_ending(f"os.kill with {signal.Signals(number).name}", traceback.extract_stack())
        self._kill(pid, number)

    def tell_ending(self, words: str, stack: traceback.StackSummary) -> None:
        self.tell({"ending": words, "stack": [[each.filename, each.lineno, each.name] for each in stack]})
