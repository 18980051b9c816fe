"""`ksl runs debug`: a run that is stepped through, from the stored events alone and from a server's answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli
from ksl.cli.commands import runs_debug
from ksl.cli.invocation import Invocation

SOURCE = """
from ksl import Context, action, workflow

@action
async def double(n: int) -> int:
    return n * 2

@workflow
async def doubling(input: int, ctx: Context) -> int:
    result = await double.run(n=input)
    approved = await ctx.hook(name="ok")
    return result
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "doubling.py").write_text(SOURCE)
    (tmp_path / "ksl.toml").write_text("")
    return tmp_path


def ksl(folder: Path, *args: str, keys: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args], input=keys, catch_exceptions=False)


def waiting_run(folder: Path) -> str:
    done = ksl(folder, "workflows", "run", "doubling", "--input", "4")
    assert done.exit_code == 3
    return json.loads(done.stdout)["run_id"]


def test_the_newest_position_is_json_for_programs(project: Path) -> None:
    run_id = waiting_run(project)

    shown = json.loads(ksl(project, "runs", "debug", run_id).stdout)

    frame = shown["branches"][0]["frames"][0]
    assert (shown["state"], frame["file"], frame["line"]) == ("standing", "workflows/doubling.py", 11)
    assert frame["variables"]["result"] == "8"
    earlier = json.loads(ksl(project, "runs", "debug", run_id, "--at", "2").stdout)
    assert earlier["branches"][0]["frames"][0]["line"] == 10


def test_an_event_that_there_is_not_is_a_usage_error(project: Path) -> None:
    done = ksl(project, "runs", "debug", waiting_run(project), "--at", "99")

    assert (done.exit_code, done.stdout) == (2, "")
    assert "there is no 99" in done.stderr


def test_keys_step_back_and_on_through_the_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = waiting_run(project)
    monkeypatch.setattr(Invocation, "prints_json", property(lambda invocation: invocation.as_json))

    done = ksl(project, "runs", "debug", run_id, keys="ppgnGnxq")

    heads = [line for line in done.stdout.splitlines() if line.startswith(run_id)]
    assert [head.rpartition("event ")[2] for head in heads] == [
        f"{seq} of 4" for seq in (4, 3, 2, 1, 2, 4, 4, 4)
    ]
    assert '  >   11      approved = await ctx.hook(name="ok")' in done.stdout
    assert "result = 8" in done.stdout


def test_user_data_does_not_reach_the_terminal_as_control_characters() -> None:
    frame: dict[str, Any] = {
        "file": "w.py",
        "line": 1,
        "function": "w",
        "source": [{"line": 1, "text": "await a.run()"}],
        "variables": {"name": "'\x1b[31mred\x07'"},
    }
    event = {
        "seq": 1,
        "type": "run_created",
        "step": None,
        "at": "2026-11-21T12:00:00.000Z",
        "data": "\x1b[2J",
    }
    text = runs_debug.text_of(
        {
            "run_id": "run_1", "workflow": "w", "seq": 1, "first_seq": 1, "last_seq": 1, "event": event,
            "attempt": 1, "state": "raised", "error": {"type": "E", "message": "\x1b]0;title\x07"},
            "awaited": [], "misfit": None, "branches": [{"workflow": "w", "place": "0", "frames": [frame]}],
        }
    )  # fmt: skip

    assert "\x1b" not in text
    assert "\x07" not in text
    assert "w [0]" in text
