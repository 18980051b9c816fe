from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from ksl.cli.client import HookTarget, hook_target
from ksl.cli.commands.runs_show import value_at
from ksl.cli.output import compact, emit_json, emit_table, emit_text, printable
from ksl.cli.words import event_line, label, took
from ksl.errors import BadRequest

RUN: dict[str, Any] = {
    "status": "succeeded",
    "output": {"items": [{"name": "a"}, {"name": "b"}]},
    "error": None,
}


def test_json_is_one_line_of_utf_8(capfdbinary: pytest.CaptureFixture[bytes]):
    emit_json({"name": "Zoë", "list": [1, None]})
    assert capfdbinary.readouterr().out == '{"name": "Zoë", "list": [1, null]}\n'.encode()


def test_a_table_has_aligned_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "20")
    emit_table(("A", "LONGER"), [("first", "1"), ("2", "a text that goes on and on")])
    assert capsys.readouterr().out == "A      LONGER\nfirst  1\n2      a text that …\n"


def test_a_reason_that_is_longer_than_the_line_goes_on_below_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "36")
    emit_table(("ID", "REASON"), [("fir_1", "the header webhook-id is missing"), ("fir_2", "")], wraps=True)
    assert capsys.readouterr().out == (
        "ID     REASON\nfir_1  the header webhook-id is\n       missing\nfir_2\n"
    )


def test_a_table_without_rows_says_so_on_stderr(capsys: pytest.CaptureFixture[str]):
    emit_table(("A", "B"), [], none="There are no runs yet.")
    assert capsys.readouterr() == ("", "There are no runs yet.\n")


def test_control_characters_of_data_do_not_reach_the_terminal():
    assert printable("a\x1b[2Jb\nc") == "a�[2Jb c"
    assert compact("x" * 200, 10) == '"xxxxxxxx…'


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "succeeded"),
        ("output.items[1].name", "b"),
        ("output.items[0]", {"name": "a"}),
        ("error", None),
    ],
)
def test_a_field_is_found_by_its_path(path: str, value: object):
    assert value_at(RUN, path) == value


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("nope", "it has status, output, error"),
        ("output.items[2]", "it has 2 items"),
        ("error.type", "which is null"),
    ],
)
def test_a_field_that_is_not_there_says_what_is(path: str, there: str):
    with pytest.raises(BadRequest, match=there):
        value_at(RUN, path)


def test_an_event_is_one_line():
    event = {
        "at": "2026-11-21T12:00:00.123Z",
        "type": "step_completed",
        "step": "step:fetch#0",
        "data": {"n": 1},
    }
    assert event_line(event) == '12:00:00.123  step_completed        fetch#0                   {"n": 1}'


def test_a_run_s_state_and_time_are_put_in_words():
    assert (label("waiting"), label("new one")) == ("Waiting on hook", "new one")
    times = {"started_at": "2026-11-21T12:00:00.000Z", "finished_at": "2026-11-21T12:01:30.500Z"}
    assert (took(times), took({"started_at": None})) == ("1m30.5s", "")


def test_a_hook_is_named_by_run_token_or_link():
    assert hook_target("run_1", "step:approve#0") == HookTarget(None, "run_1", "approve#0")
    assert hook_target("tok", None) == HookTarget("tok", None, None)
    assert hook_target("http://127.0.0.1:7420/hooks/tok?approved=1", None) == HookTarget("tok", None, None)


def test_a_terminal_is_sent_nothing_that_it_would_obey_or_be_turned_round_by():
    """A real terminal, since that is what the difference is made by."""
    value = "a\x1b[31mred\x1b[0m\u202eltr\x9b2J\r\nline\tüñ漢"
    for call in ("emit_json(value)", "emit_json(value, one_line=False)", "emit_text(value)"):
        program = f"from ksl.cli.output import *; value = {value!r}; {call}"
        master, slave = pty.openpty()
        with os.fdopen(master, "rb", buffering=0) as terminal:
            subprocess.run([sys.executable, "-c", program], stdout=slave, check=True, env={**os.environ})
            os.close(slave)
            sent = terminal.read(10_000).decode().replace("\r\n", "\n").removesuffix("\n")
        assert sent.replace("\n", "").isprintable(), call
        assert "üñ漢" in sent
        if call != "emit_text(value)":
            assert json.loads(sent) == value


def test_what_is_piped_on_is_as_it_was(capfdbinary: pytest.CaptureFixture[bytes]):
    emit_text("a\x1b[31m\u202e")
    assert capfdbinary.readouterr().out == "a\x1b[31m\u202e\n".encode()
