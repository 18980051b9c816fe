"""Commands without a server, on an engine inside the command: bytes and exit codes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ksl.cli import connect
from ksl.cli.app import cli
from ksl.log.lock import FolderLock

FLOWS = """\
from pathlib import Path

from pydantic import BaseModel

from ksl import Context, Retry, action, workflow


class Person(BaseModel):
    name: str


class Answer(BaseModel):
    approved: bool


@action
async def note(text: str) -> str:
    with Path(__file__).with_name("ledger").open("a") as file:
        file.write(text + "\\n")
    return text


@action
async def refuse() -> None:
    if not Path(__file__).with_name("allowed").exists():
        raise ValueError("not today")


@workflow
async def greeting(input: Person) -> dict[str, str]:
    return {"message": "Hello, " + await note.run(text=input.name)}


@workflow
async def approval(ctx: Context) -> bool:
    await note.run(text="before")
    answer = await ctx.hook(Answer, title="Go on?")
    await note.run(text="after")
    return answer.approved


@workflow
async def nap(ctx: Context) -> None:
    await ctx.sleep("1d")


@workflow(retry=Retry(attempts=1))
async def fails() -> None:
    await refuse.run()
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n')
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "flows.py").write_text(FLOWS)
    monkeypatch.delenv("KSL_URL", raising=False)
    monkeypatch.delenv("KSL_TOKEN", raising=False)
    return tmp_path


def ksl(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args], catch_exceptions=False)


def ledger(folder: Path) -> list[str]:
    return (folder / "workflows" / "ledger").read_text().split()


def ledger_of(folder: Path) -> list[str]:
    return ledger(folder) if (folder / "workflows" / "ledger").exists() else []


def runs(folder: Path) -> list[dict[str, Any]]:
    return json.loads(ksl(folder, "runs", "list").stdout)["runs"]


def test_a_run_ends_with_its_output_and_exit_0(project: Path):
    done = ksl(project, "workflows", "run", "greeting", "--input", '{"name":"Ada"}')
    run_id = json.loads(done.stdout)["run_id"]
    assert done.stdout == (
        f'{{"run_id": "{run_id}", "status": "succeeded", "output": {{"message": "Hello, Ada"}}}}\n'
    )
    assert (done.exit_code, done.stderr) == (0, "")
    assert ksl(project, "runs", "show", run_id, "--field", "status").stdout == "succeeded\n"
    tail = ksl(project, "runs", "tail", run_id)
    events = [json.loads(line) for line in tail.stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert "step:note#0" in [event["step"] for event in events]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("greeting", "--input", '{"nme":"Ada"}'), 1, "schema: name: Field required. No run was created."),
        (("greting", "--input", '{"name":"Ada"}'), 2, "greeting"),
        (("greeting", "--input", '{"name":'), 2, "KSL604"),
        (("greeting", "--input", '{"name": NaN}'), 2, "KSL604"),
        (("greeting", "--input", "{name:Ada}"), 2, "No double quotes arrived, and JSON has them"),
    ],
)
def test_what_cannot_start_says_why_and_stores_no_run(
    args: tuple[str, ...], code: int, says: str, project: Path
):
    done = ksl(project, "workflows", "run", *args)
    assert (done.exit_code, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert runs(project) == []


def test_an_input_of_40_mib_is_refused_and_nothing_is_stored(project: Path):
    large = project / "large.json"
    large.write_bytes(b'{"name": "' + b"x" * (40 << 20) + b'"}')
    done = ksl(project, "workflows", "run", "greeting", "--input", f"@{large}")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "KSL413" in done.stderr
    assert runs(project) == []


def test_detached_a_run_is_stored_and_nothing_of_it_is_done(project: Path):
    done = ksl(project, "workflows", "run", "greeting", "--input", '{"name":"Ada"}', "--detach")
    run_id = json.loads(done.stdout)["run_id"]
    assert (done.exit_code, done.stdout) == (0, f'{{"run_id": "{run_id}", "status": "queued"}}\n')
    assert "`ksl serve` will run it" in done.stderr
    assert ksl(project, "runs", "show", run_id, "--field", "status").stdout == "queued\n"
    assert not (project / "workflows" / "ledger").exists()


def test_a_hook_is_waited_for_by_exit_3_and_answered_by_the_next_command(project: Path):
    waiting = ksl(project, "workflows", "run", "approval")
    run_id = json.loads(waiting.stdout)["run_id"]
    assert (waiting.exit_code, json.loads(waiting.stdout)["status"]) == (3, "waiting")
    assert f"ksl hooks resume {run_id}" in waiting.stderr
    hook = json.loads(ksl(project, "hooks", "list").stdout)["hooks"][0]
    assert (hook["run_id"], hook["title"]) == (run_id, "Go on?")
    unfit = ksl(project, "hooks", "resume", run_id, "--data", '{"approved": "perhaps"}')
    assert (unfit.exit_code, "approved" in unfit.stderr) == (1, True)
    # by the link that was listed without a server, so its token is the real one
    done = ksl(project, "hooks", "resume", hook["url"], "--data", '{"approved": true}')
    assert (done.exit_code, json.loads(done.stdout)["output"]) == (0, True), done.stderr
    assert ledger(project) == ["before", "after"]
    assert ksl(project, "hooks", "resume", run_id, "--data", "{}").exit_code == 1


def test_a_rejected_hook_fails_the_run(project: Path):
    run_id = json.loads(ksl(project, "workflows", "run", "approval").stdout)["run_id"]
    done = ksl(project, "hooks", "reject", run_id, "--reason", "too early")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["type"] == "HookRejected"
    assert "too early" in done.stdout


def test_a_long_sleep_is_left_to_the_server(project: Path):
    done = ksl(project, "workflows", "run", "nap")
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (3, "sleeping")
    assert "ksl serve" in done.stderr


def test_a_sleeping_run_is_cancelled_and_done(project: Path):
    run_id = json.loads(ksl(project, "workflows", "run", "nap").stdout)["run_id"]
    done = ksl(project, "runs", "cancel", run_id, "--reason", "over")
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (0, "cancelled"), done.stderr


def test_a_failed_run_exits_1_and_a_retry_takes_it_further(project: Path):
    failed = ksl(project, "workflows", "run", "fails")
    answer = json.loads(failed.stdout)
    assert (failed.exit_code, answer["status"], answer["error"]["message"]) == (1, "failed", "not today")
    (project / "workflows" / "allowed").touch()
    done = ksl(project, "runs", "retry", answer["run_id"])
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (0, "succeeded"), done.stderr
    again = ksl(project, "runs", "retry", answer["run_id"])
    assert (again.exit_code, "KSL409" in again.stderr) == (1, True)


def test_a_repeated_key_gives_the_first_run(project: Path):
    asked = ("workflows", "run", "greeting", "--input", '{"name":"Ada"}', "--idempotency-key", "k")
    first, second = ksl(project, *asked), ksl(project, *asked)
    assert first.stdout == second.stdout
    assert "used before" in second.stderr
    assert ledger(project) == ["Ada"]
    other = ksl(project, *asked[:4], '{"name":"Bob"}', "--idempotency-key", "k")
    assert (other.exit_code, "KSL430" in other.stderr) == (1, True)


def test_a_repeated_key_takes_up_a_run_that_was_only_stored(project: Path):
    asked = ("workflows", "run", "greeting", "--input", '{"name":"Ada"}', "--idempotency-key", "k")
    stored = json.loads(ksl(project, *asked, "--detach").stdout)
    again = json.loads(ksl(project, *asked, "--detach").stdout)
    assert (stored, ledger_of(project)) == (again, [])
    done = ksl(project, *asked)
    assert (done.exit_code, json.loads(done.stdout)["run_id"]) == (0, stored["run_id"])
    assert ledger(project) == ["Ada"]


async def test_a_folder_that_stays_held_is_exit_4_with_the_holder(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connect, "FOLDER_WAIT_S", 0.0)
    lock = FolderLock(project / ".ksl")
    await lock.acquire()
    try:
        done = await asyncio.to_thread(
            ksl, project, "workflows", "run", "greeting", "--input", '{"name":"A"}'
        )
    finally:
        lock.release()
    assert (done.exit_code, done.stdout) == (4, "")
    assert "KSL504" in done.stderr


def test_a_data_folder_that_is_a_file_is_one_paragraph_and_exit_4(project: Path):
    (project / ".ksl").write_text("")
    done = ksl(project, "workflows", "run", "greeting", "--input", '{"name":"Ada"}')
    assert (done.exit_code, done.stdout) == (4, "")
    assert "KSL500" in done.stderr


def test_an_input_that_was_not_given_is_said_to_be_null(project: Path):
    done = ksl(project, "workflows", "run", "greeting")
    assert done.exit_code == 1
    assert done.stderr.startswith("No --input was given, so the input is null.\nKSL407 ")
    assert "No --input" not in ksl(project, "workflows", "run", "greeting", "--input", "null").stderr
