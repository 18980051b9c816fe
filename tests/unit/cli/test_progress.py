from __future__ import annotations

import datetime as dt
import io
import time
from typing import Any

from ksl.cli.progress import Progress

RUN: dict[str, Any] = {"run_id": "run_1", "status": "running", "waiting_on": []}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_short_run_says_nothing():
    stream = io.StringIO()
    Progress(stream).show(RUN, 0.9)
    assert stream.getvalue() == ""


def test_off_a_terminal_lines_are_plain_and_rare():
    stream = io.StringIO()
    progress = Progress(stream)
    for elapsed_s in (1.0, 2.0, 9.0, 11.5):
        progress.show(RUN, elapsed_s)
    assert stream.getvalue() == "run_1 running, 1s, 0 steps done\nrun_1 running, 11s, 0 steps done\n"


def test_on_a_terminal_one_line_is_rewritten_and_taken_away():
    stream = Terminal()
    progress = Progress(stream)
    progress.saw({"type": "step_completed", "step": "step:fetch#0"})
    progress.show(RUN, 1.5)
    progress.clear()
    assert stream.getvalue() == "\r\x1b[Krun_1 running, 1s, 1 step done, newest: fetch#0 completed\r\x1b[K"


def test_what_the_run_waits_for_is_named():
    stream = io.StringIO()
    waits = [{"kind": "sleep", "step": "sleep#0"}]
    Progress(stream).show({"run_id": "run_1", "status": "sleeping", "waiting_on": waits}, 3)
    assert stream.getvalue() == "run_1 sleeping, 3s, 0 steps done, on sleep#0\n"


def test_a_run_that_is_tried_again_says_when_and_after_what():
    due = dt.datetime.fromtimestamp(time.time() + 3600.5, dt.UTC).isoformat()
    error = {"type": "ConnectionError", "message": "refused"}
    for step, event, doing in (
        (None, {"type": "run_retrying", "data": {"error": error}}, "attempt 2 of 3 in 60m"),
        (
            "fetch#0",
            {"type": "step_retrying", "step": "step:fetch#0", "data": error},
            "fetch#0: attempt 2 of 3 in 60m",
        ),
    ):
        stream = io.StringIO()
        progress = Progress(stream)
        retrying = {"step": step, "attempt": 2, "attempts": 3, "next_attempt_at": due}
        state = RUN | {"status": "queued", "retrying": retrying}
        progress.show(state, 2)
        progress.saw(event)
        progress.show(state, 20)
        assert stream.getvalue() == (
            f"run_1 retrying, 2s, {doing}\nrun_1 retrying, 20s, {doing}, after ConnectionError: refused\n"
        )
