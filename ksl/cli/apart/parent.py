"""Has a process import the project, and starts another one without the file that the first one did not survive."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksl.build.failure import Frame, cut_off, project_frames, relative
from ksl.cli.output import Json
from ksl.cli.problems import problem
from ksl.define.duration import format_duration
from ksl.errors import ImportFailed

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.build.failure import ImportFailure

IMPORT_LIMIT = "30s"  # for one file
_GRACE_S = 5.0  # after the limit, for the child to say where it hangs
_LOOK_S = 0.2
_START = (
    "import json, sys; spec = json.load(sys.stdin); sys.path[:] = spec['path']; "
    "from ksl.cli.apart.child import main; main(spec)"
)
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)


def done_apart(task: str, settings: Settings, options: Mapping[str, Any], *, limit_s: float) -> Json:
    """What `tasks` makes of the project, imported in a process of its own.

    `limit_s` is for the import of one file. A file that takes longer, or that ends the process, is among the
    failures, like one that raises. Errors: what the task raises; ImportFailed where no file can be blamed.
    """
    refused: dict[str, ImportFailure] = {}
    while True:
        life = _Life(task, settings, options, refused, limit_s)
        with life.begun():
            answer = life.answer()
        if answer is not None:
            return _result(answer)
        failure, names = life.blamed()
        if failure is None or not names - set(refused):
            raise ImportFailed(
                f"{life.verdict()}, and no file of {settings.folder} can be left out for it.\n{life.last_words()}"
            )
        refused |= dict.fromkeys(names, failure)


def _result(answer: Json) -> Json:
    if "error" in answer:
        raise problem(400, json.dumps(answer["error"]).encode(), "")
    if "fault" in answer:
        raise RuntimeError(f"in the process that imports the project:\n{answer['fault']}")
    return answer["done"]


@dataclass
class _Life:
    """One process that imports the project."""

    task: str
    settings: Settings
    options: Mapping[str, Any]
    refused: dict[str, ImportFailure]
    limit_s: float
    # What it said last:
    module: str = ""
    file: str = ""
    ending: str = ""
    stack: list[Frame] = field(default_factory=list[Frame])
    timed_out: bool = False
    code: int = 0

    @contextmanager
    def begun(self) -> Generator[None]:
        with tempfile.TemporaryFile() as self._dump, tempfile.TemporaryFile() as spec:
            self._read, write = os.pipe()
            try:
                words = {
                    "path": sys.path, "folder": str(self.settings.folder), "task": self.task, "limit_s": self.limit_s,
                    "options": dict(self.options), "tell": write, "dump": self._dump.fileno(),
                    "refused": {name: asdict(failure) for name, failure in self.refused.items()},
                }  # fmt: skip
                spec.write(json.dumps(words).encode())
                spec.seek(0)
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _START],
                    stdin=spec,
                    stdout=2,  # what modules print is narration
                    pass_fds=(write, self._dump.fileno()),
                )
            finally:
                os.close(write)
            try:
                yield
            finally:
                os.close(self._read)
                self._process.kill()
                self._process.wait()

    def answer(self) -> Json | None:
        """None when it died, or had to be killed, before it had one."""
        parts: list[bytes] = []  # of a line that is not whole yet: the last one may be long
        told_at = time.monotonic()
        while True:
            readable, _, _ = select.select([self._read], [], [], _LOOK_S)
            if readable:
                chunk = os.read(self._read, 1 << 20)
                *lines, rest = chunk.split(b"\n")
                for line in lines:
                    told_at = time.monotonic()
                    if (answer := self._heard(json.loads(b"".join([*parts, line])))) is not None:
                        return answer
                    parts.clear()
                parts.append(rest)
                if not chunk:
                    break
            elif self._process.poll() is not None:
                break  # something it started keeps its end of the pipe open
            if self.module and time.monotonic() - told_at > self.limit_s + _GRACE_S:
                self.timed_out = True
                break
        if self._process.poll() is None and not self.timed_out:
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                pass
        self.code = self._process.poll() or 0
        self._read_dump()
        return None

    def blamed(self) -> tuple[ImportFailure | None, set[str]]:
        """Why it is over, and the modules to do without: the one it was importing, and the one it stood in."""
        if not self.module:
            return None, set()
        root = self.settings.folder
        frames = project_frames(self.stack, root)
        names = {self.module}
        if frames:
            names.add(
                ".".join(Path(relative(frames[-1].file, root)).with_suffix("").parts).removesuffix(
                    ".__init__"
                )
            )
        error = self.verdict()
        return cut_off(error, self.stack, module=self.module, file=Path(self.file), root=root), names

    def verdict(self) -> str:
        if self.timed_out:
            limit = format_duration(self.limit_s)
            what = "the import" if self.module else "the replay of an unfinished run"
            return f"TimeoutError: {what} did not end within {limit} (--import-timeout)"
        if self.ending:
            return f"{self.ending} ended the process that imported the project"
        if self.code < 0:
            return f"{signal.Signals(-self.code).name} ended the process that imported the project"
        return f"the process that imported the project ended by itself, with exit code {self.code}"

    def last_words(self) -> str:
        return "".join(
            f'  File "{frame.file}", line {frame.line}, in {frame.function}\n' for frame in self.stack
        )

    def _heard(self, said: Json) -> Json | None:
        if "importing" in said:
            self.module, self.file = said["importing"], said["file"]
            self.ending, self.stack = "", []
        elif "ending" in said:
            self.ending = said["ending"]
            self.stack = [Frame(*frame) for frame in said["stack"]]
        else:
            return said
        return None

    def _read_dump(self) -> None:
        """What the interpreter wrote when the limit was over or a signal hit it: innermost frame first."""
        self._dump.seek(0)
        text = self._dump.read().decode("utf-8", "replace")
        self.timed_out = self.timed_out or text.startswith("Timeout (")
        threads = re.split(r"^(?:Current thread|Thread) ", text, flags=re.MULTILINE)
        stacks = [
            [Frame(file, int(line), name) for file, line, name in _FRAME.findall(thread)][::-1]
            for thread in threads
        ]
        # The thread that imports; others are what modules have started.
        self.stack = next((each for each in stacks if any(_is_ours(frame) for frame in each)), self.stack)


def _is_ours(frame: Frame) -> bool:
    return frame.file.endswith("ksl/cli/apart/child.py")
