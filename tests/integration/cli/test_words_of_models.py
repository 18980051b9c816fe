"""What models say, on a terminal and for programs."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli
from ksl.cli.invocation import Invocation
from ksl.cli.speaking import Between, Speaking

from tests.integration.cli.conftest import TinyServer, event_json, run_json

Json = dict[str, Any]
TURN = "step:robot#0/turn#0"
PARTS = {"parts": [{"part_kind": "text", "content": "It is on\nits way."}]}
META = {"meta": {"callee": "agent-turn"}}


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Invocation, "prints_json", property(lambda invocation: invocation.as_json))


def ksl(*args: str) -> Result:
    return CliRunner().invoke(cli, args, catch_exceptions=False)


def said(delta: str, offset: int, *, step: str = TURN, attempt: int = 1) -> Json:
    at = "2026-11-21T12:00:00.000Z"
    return {
        "type": "text", "run_id": "run_1", "step": step, "session_id": "ses_1", "attempt": attempt,
        "offset": offset, "delta": delta, "at": at,
    }  # fmt: skip


def stream(*items: Json) -> str:
    frames = [
        f"event: text\ndata: {json.dumps(item)}\n\n"
        if item["type"] == "text"
        else f"id: {item['seq']}\ndata: {json.dumps(item)}\n\n"
        for item in items
    ]
    return ": connected\n\n" + "".join(frames)


ITEMS = [
    event_json(1, "run_created"),
    said("", 0),
    said("It is on\n", 0),
    said("its w", 9),
    event_json(2, "step_completed", step=TURN, data=PARTS, **META),
    event_json(3, "run_completed"),
]


def answers(tiny: TinyServer, *items: Json, **run: Any) -> None:
    tiny.answers["GET /runs/run_1/stream"] = (200, stream(*items))
    tiny.answers["GET /runs/run_1"] = (200, run_json("succeeded", **run))
    tiny.answers["GET /runs/run_1/events"] = (200, {"events": [], "next_cursor": None})


@pytest.mark.usefixtures("on_a_terminal")
def test_tail_writes_words_as_they_come_between_the_events(tiny: TinyServer) -> None:
    answers(tiny, *ITEMS)
    lines = ksl("runs", "tail", "run_1").stdout.splitlines()
    assert lines[:3] == ["12:00:00.000  run_created", "  robot#0/turn#0: It is on", "its w"]
    assert [line.split()[1] for line in lines[3:]] == ["step_completed", "run_completed"]


def test_tail_gives_programs_words_as_json_lines_of_their_own(tiny: TinyServer) -> None:
    answers(tiny, *ITEMS)
    lines = [json.loads(line) for line in ksl("runs", "tail", "run_1").stdout.splitlines()]
    assert lines == ITEMS


@pytest.mark.usefixtures("on_a_terminal")
def test_an_agent_that_is_prompted_talks(tiny: TinyServer) -> None:
    tiny.answers["POST /workflows/agent%3Arobot"] = (202, {"run_id": "run_1", "status": "queued"})
    tool = event_json(2, "step_completed", step="step:robot#0/look#0", data="a pen")
    inner = said("not mine", 0, step="step:robot#0/other#0/turn#0")
    output = {"text": "It is on\nits way.", "session_id": "ses_1"}
    answers(
        tiny, tool, inner, *ITEMS[1:4], {**ITEMS[4], "seq": 3}, event_json(4, "run_completed"), output=output
    )
    done = ksl("agents", "prompt", "robot", "--message", "Where?")
    assert done.exit_code == 0
    assert done.stdout == '[look "a pen"]\nIt is on\nits way.\n'
    assert "--session ses_1" in done.stderr


@pytest.mark.usefixtures("on_a_terminal")
def test_a_session_is_followed_to_the_end_of_its_newest_prompt(tiny: TinyServer) -> None:
    def session(status: str, *messages: Json) -> Json:
        use = {"model": "local/small", "turns": 1, "input_tokens": 10, "output_tokens": 5, "usd": None}
        prompt = {
            "run_id": "run_1", "step": "step:robot#0", "at": "2026-11-21T12:00:00.000Z", "status": status,
            "error": None, "usage": use, "messages": list(messages),
        }  # fmt: skip
        return {"session_id": "ses_1", "agent": "robot", "parent": None, "usage": use, "prompts": [prompt]}

    asked, answer = {"role": "user", "text": "Where?"}, {"role": "assistant", "text": "It is on\nits way."}
    tiny.answers["GET /sessions/ses_1"] = [
        (200, session("running", asked)),
        (200, session("completed", asked, answer)),
    ]
    answers(tiny, *ITEMS)
    done = ksl("sessions", "show", "ses_1", "--follow")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "2026-11-21T12:00:00.000Z  running  run run_1  step:robot#0",
        "  user: Where?",
        "  assistant: It is on",
        "its way.",
        "1 turn, 10 tokens in, 5 out",
    ]


def test_a_turn_that_broke_off_begins_on_a_line_of_its_own() -> None:
    out = io.StringIO()
    speaking = Speaking(out)
    for item in (said("", 0), said("It i", 0), said("", 0, attempt=2), said("It is there.", 0, attempt=2)):
        speaking.take(item)
    speaking.finish(TURN, "It is there.")
    assert out.getvalue() == "It i\n(broke off; attempt 2)\nIt is there.\n"


def test_two_turns_at_once_have_lines_of_their_own() -> None:
    out = io.StringIO()
    speaking = Speaking(out)
    for step, delta, offset in (("step:a", "one", 0), ("step:b", "two", 0), ("step:a", " more", 3)):
        speaking.take(said(delta, offset, step=step), label=f"{step}: ")
    assert out.getvalue() == "step:a: one\nstep:b: two\nstep:a:  more"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_on_progress_gives_way_to_words_and_takes_none_of_them() -> None:
    screen = Terminal()
    between = Between(screen, screen)
    between.show(run_json("running"), 3.0)
    between.speaking.take(said("It is ", 0))
    between.show(run_json("running"), 4.0)
    between.speaking.take(said("there.", 6))
    between.clear()
    between.speaking.finish(TURN, "It is there.")
    between.show(run_json("running"), 5.0)
    between.clear()
    cleared = "\r\x1b[K"
    lines = re.split(re.escape(cleared), screen.getvalue())
    assert [line for line in lines if "It is" in line] == ["It is there.\n"]
    assert lines[-1] == ""


def test_a_terminal_does_not_obey_a_model() -> None:
    out = io.StringIO()
    Speaking(out).take(said("\x1b[2J\x1b]0;x\x07\u202eevil\r", 0))
    assert all(letter.isprintable() for letter in out.getvalue())


def test_without_a_server_the_words_come_from_the_engine_in_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KSL_URL", raising=False)
    monkeypatch.setattr(Invocation, "prints_json", property(lambda invocation: invocation.as_json))
    (tmp_path / "ksl.toml").touch()
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "main.py").write_text(
        'from ksl import Agent\necho = Agent("echo", model="test/echo", memory=False)\n'
    )
    done = ksl("-C", str(tmp_path), "agents", "prompt", "echo", "--message", "Say this again.")
    assert (done.exit_code, done.stdout) == (0, "Say this again.\n")
