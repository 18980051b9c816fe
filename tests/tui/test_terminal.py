"""`ksl dev` in a real terminal."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksl.log.lock import read_holder

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]
PATIENCE_S = 60.0
LOOK_S = 0.1


class Terminal:
    def __init__(self, folder: Path, width: int, height: int) -> None:
        # A server of its own: nothing of the person's tmux is touched, and its socket goes with the folder.
        self._tmux = ["tmux", "-S", str(folder / "tmux.sock"), "-f", os.devnull]
        command = f"exec {sys.executable} -m ksl -C {folder} dev --drain 1s"
        self._run("new-session", "-d", "-s", "ksl", "-x", str(width), "-y", str(height), command)

    def keys(self, *keys: str) -> None:
        self._run("send-keys", "-t", "ksl", *keys)

    def type(self, text: str) -> None:
        self._run("send-keys", "-t", "ksl", "-l", text)

    def screen(self, *, styled: bool = False) -> str:
        return self._run("capture-pane", "-p", *(["-e"] if styled else []), "-t", "ksl")

    def tab(self) -> None:
        """To the next field: the screen shows where the cursor is."""
        before = self.screen(styled=True)
        self.keys("Tab")
        until = time.monotonic() + PATIENCE_S
        while self.screen(styled=True) == before:
            assert time.monotonic() < until, f"tab leads nowhere\n{before}"
            time.sleep(LOOK_S)

    def until(self, pattern: str) -> str:
        """The screen, once it shows this."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            shown = self.screen()
            if re.search(pattern, shown):
                return shown
            time.sleep(LOOK_S)
        raise AssertionError(f"never seen: {pattern}\n{self.screen()}")

    def end(self) -> None:
        subprocess.run([*self._tmux, "list-panes", "-F", "#{pane_pid}"], capture_output=True, text=True)
        self.keys("q")
        until = time.monotonic() + PATIENCE_S
        while subprocess.run([*self._tmux, "has-session"], capture_output=True).returncode == 0:
            assert time.monotonic() < until, f"ksl dev did not end:\n{self.screen()}"
            time.sleep(LOOK_S)

    def _run(self, *command: str) -> str:
        # A size in the environment, as readline leaves it, would count for more than the terminal's.
        inherited = {
            name: value for name, value in os.environ.items() if name not in ("TMUX", "COLUMNS", "LINES")
        }
        environment = {**inherited, "TERM": "xterm-256color"}
        done = subprocess.run([*self._tmux, *command], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def terminal(folder: Path) -> Iterator[Terminal]:
    terminal = Terminal(folder, 120, 40)
    yield terminal
    terminal.end()


def test_a_run_is_started_answered_and_travelled_back_in(
    terminal: Terminal,
) -> None:
    terminal.until("No runs yet")
    terminal.keys("n")
    terminal.until("refund-approval")
    terminal.keys("j", "j", "j", "j", "Enter")
    terminal.until("Start refund-approval")
    terminal.type("o-115")
    terminal.keys("C-s")
    terminal.until("‖ waiting")
    terminal.keys("a")
    terminal.until("asks: Ada")
    terminal.keys("Enter")
    terminal.until("press y or n")
    terminal.keys("y")
    terminal.until(r"\(x\) yes")
    terminal.tab()
    terminal.keys("Enter")
    terminal.until("high")
    terminal.keys("Down")
    terminal.keys("Enter")
    terminal.until("(low|high) +▼")
    terminal.tab()
    terminal.type("1200")
    terminal.until(" 1200 ")
    terminal.tab()
    terminal.type("Bonn")
    terminal.until("Bonn")
    terminal.keys("C-s")
    terminal.until("Nothing waits for you")
    terminal.keys("2")
    terminal.until("✓ succeeded")
    terminal.keys("d")
    terminal.until(r"event (\d+) of \1 ")
    while "hook_resumed" not in (shown := terminal.until("Replay")).split("Replay")[1]:
        place = re.search(r"event (\d+) of", shown)
        assert place is not None, shown
        assert int(place[1]) > 1, shown
        terminal.keys("p")
        terminal.until(rf"event {int(place[1]) - 1} of")
    assert "receipt = 'o-115: reserved'" in shown
    terminal.keys("7")
    terminal.until("ksl serves")


def test_a_server_that_is_killed_is_said_to_be_and_is_found_as_soon_as_it_runs_again(
    terminal: Terminal, folder: Path
) -> None:
    terminal.until("● live")
    holder = read_holder(folder / ".ksl")
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)
    terminal.until(r"✗ lost +the server ended with exit code -9; a changed file starts it")
    terminal.until("retry in 1[0-5] s")
    flow = next((folder / "workflows").glob("*.py"))
    flow.write_text(flow.read_text() + "\n")
    terminal.keys("7")
    shown = terminal.until("● live")
    assert "Changed: " in shown
