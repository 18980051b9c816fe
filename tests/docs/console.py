"""Runs the code blocks of a page as a reader would, in one shell, and compares what they print.

- A `python` block whose first line is a comment with a path (`# workflows/publish.py`) is that file's text.
- A `console` block holds commands (`$ `, continued by `> `) and what they print. A line of `...` stands for
  any lines, and `...` within a line for any text.
- Other blocks are not run.

A page prints what its author saw: ids and times differ on every run. Run ids are taken from the first output
that shows them and stand for the page's own from then on, in commands too; moments and durations are not
compared.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

# An event's type, like run_created, is in small letters alone.
RUN_ID = re.compile(r"run_(?=[a-z]*[0-9A-Z])[0-9A-Za-z]+")
PATIENCE_S = 60.0


@dataclass
class Command:
    text: str
    line: int  # in the page, from 1
    expected: list[str] = field(default_factory=list[str])


@dataclass
class File:
    path: str
    content: str


def blocks(page: Path) -> Iterator[Command | File]:
    """The page's files and commands, in order."""
    language: str | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if language is None and line.startswith("```"):
            language, lines = line[3:].strip(), []
        elif language is not None and line == "```":
            if language == "python" and lines and (named := re.fullmatch(r"# (\S+\.py)", lines[0])):
                yield File(named[1], "\n".join(lines[1:]).strip("\n") + "\n")
            elif language == "console":
                yield from _commands(lines, number - len(lines))
            language = None
        else:
            lines.append(line)


def _commands(lines: list[str], first: int) -> Iterator[Command]:
    command: Command | None = None
    for number, line in enumerate(lines, first):
        if line.startswith("$ "):
            if command is not None:
                yield command
            command = Command(line[2:], number)
        elif command is not None and line.startswith("> ") and not command.expected:
            command.text += "\n" + line[2:]
        elif command is not None:
            command.expected.append(line)
    if command is not None:
        yield command


class Shell:
    """A bash whose output is a terminal of 110 columns, so that commands print what a person sees."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 110, 0, 0))
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST  # newlines stay newlines
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        self._output = bytearray()
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self._mark = 0

    def run(self, text: str) -> str:
        """What the command printed, on both streams."""
        self._mark += 1
        seen = len(self._output)
        end = f"<end {self._mark}>\n".encode()
        assert self._bash.stdin is not None
        self._bash.stdin.write(f"{text}\necho '<end {self._mark}>'\n".encode())
        self._bash.stdin.flush()
        poll(lambda: end in self._output[seen:], lambda: f"`{text}`, which printed {self._output[seen:]!r}")
        return self._output[seen:].partition(end)[0].decode()

    def close(self) -> None:
        """Ends the shell and everything started in it."""
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        try:
            os.killpg(self._bash.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._bash.wait()
        self._reader.join()
        os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # the last process that held the terminal is gone
                return
            if not chunk:
                return
            self._output += chunk


def poll(happened: Callable[[], bool], what: Callable[[], str]) -> None:
    """Waits for something of another process. AssertionError when it does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what()}"
        time.sleep(0.02)


class Transcript:
    """Compares outputs with a page, and learns which real run ids stand behind the page's."""

    def __init__(self) -> None:
        self.real: dict[str, str] = {}  # the page's run id -> this run's

    def command(self, text: str) -> str:
        return RUN_ID.sub(lambda found: self.real.get(found[0], found[0]), text)

    def fits(self, expected: list[str], printed: str) -> bool:
        if not any(line.strip() for line in expected):
            return True
        pattern, names = self._pattern(expected)
        found = re.fullmatch(pattern, _plain(printed))
        if found is None:
            return False
        self.real |= {name: found[group] for group, name in names.items()}
        return True

    def _pattern(self, expected: list[str]) -> tuple[str, dict[str, str]]:
        names: dict[str, str] = {}

        def piece(text: str) -> str:
            if not RUN_ID.fullmatch(text):
                return re.escape(text)
            if text in self.real:
                return re.escape(self.real[text])
            known = next((group for group, name in names.items() if name == text), None)
            if known is not None:
                return f"(?P={known})"
            names[f"run{len(names)}"] = text
            return f"(?P<run{len(names) - 1}>{RUN_ID.pattern})"

        def line(text: str) -> str:
            if text.strip() == "...":
                return r"(?:.*\n)*?"
            parts = [part for whole in text.split("...") for part in (whole, "...")][:-1]
            return (
                "".join(
                    ".*?"
                    if part == "..."
                    else "".join(piece(bit) for bit in re.split(f"({RUN_ID.pattern})", part))
                    for part in parts
                )
                + r"\n"
            )

        return "".join(line(text) for text in _plain("\n".join(expected)).splitlines()), names


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|\b\d\d:\d\d:\d\d\.\d{3}\b")
_STRETCH = re.compile(r"\b\d+(\.\d+)?(ms|s)\b(?!\")")
_KILLED = re.compile(r"^(bash: line \d+: +)?(\[\d+\].*)?\d* *Killed .*$\n?", re.MULTILINE)
# A warning that a machine under load gives cause for, and no page.
_BUSY = re.compile(r"^.* its body kept the event loop for .*$\n?", re.MULTILINE)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r[^\n]*?\r")


def _plain(text: str) -> str:
    """Without what differs from run to run, and with single spaces: columns are as wide as their content."""
    text = _KILLED.sub("", _BUSY.sub("", _ESCAPE.sub("", text))).replace("\r", "")
    text = _STRETCH.sub("<took>", _MOMENT.sub("<moment>", text))
    lines = [re.sub(r" +", " ", line).rstrip() for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines if line)
