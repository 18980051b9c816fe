"""What `ksl serve`, and an engine inside a command, do with workflows that break a rule."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.integration.cli.test_serve import Start, ksl, project, start

pytestmark = pytest.mark.process
__all__ = ["project", "start"]

FLOWS = """\
from ksl import Context, action, workflow


@action
async def note(text: str) -> str:
    return text


@workflow
async def fine(input: str) -> str:
    return await note.run(text=input)


@workflow
async def asking(ctx: Context) -> str:
    {call}note.run(text="going")
    answer = await ctx.hook(title="Go on?")
    return str(answer)


@workflow
async def outer() -> str:
    return await asking.run()
"""
RIGHT, WRONG = FLOWS.format(call="await "), FLOWS.format(call="")


def flows(folder: Path, text: str) -> None:
    (folder / "workflows" / "flows.py").write_text(text)


def test_a_workflow_that_breaks_a_rule_starts_no_runs_and_the_others_do(project: Path, start: Start):
    flows(project, WRONG)
    server = start("serve")
    url = server.url
    told = "".join(server.said)
    assert "workflows/flows.py:16:5 KSL003 step note is never awaited" in told
    assert "unfinished ones are held: asking, outer" in told
    token = (project / ".ksl" / "token").read_text().strip()
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
        for slug in ("asking", "outer"):
            answer = client.post(f"/workflows/{slug}", content=b"null")
            assert answer.status_code == 409
            assert answer.json()["code"] == "KSL003"
            assert "workflows/flows.py:16:5" in answer.json()["detail"]
        answer = client.post("/workflows/fine?wait=20s", content=b'"x"')
        assert (answer.status_code, answer.json()["output"]) == (200, "x")
        assert client.get("/runs?workflow=asking").json()["runs"] == []
    done = ksl(project, "workflows", "run", "asking")
    assert done.exit_code == 1
    assert done.stderr.startswith("KSL003 workflow asking breaks a rule at workflows/flows.py:16:5")
    assert "`ksl explain KSL003` says more." in done.stderr


def test_an_engine_inside_a_command_keeps_the_rules_too(project: Path):
    flows(project, WRONG)
    done = ksl(project, "workflows", "run", "asking")
    assert done.exit_code == 1
    assert done.stderr.startswith("KSL003 workflow asking breaks a rule at workflows/flows.py:16:5")
    assert ksl(project, "workflows", "run", "fine", "--input", '"x"').exit_code == 0
    assert [run["workflow"] for run in json.loads(ksl(project, "runs", "list").stdout)["runs"]] == ["fine"]


@pytest.mark.parametrize("serving", [True, False])
def test_unfinished_runs_of_it_are_held_until_they_are_retried_on_the_right_code(
    project: Path, start: Start, serving: bool
):
    flows(project, RIGHT)
    run = json.loads(ksl(project, "workflows", "run", "asking").stdout)
    assert run["status"] == "waiting"

    flows(project, WRONG)
    if serving:
        server = start("serve")
        assert server.url
        assert any("KSL003 held: 1 unfinished run of workflow asking" in line for line in server.said)
        refused = ksl(project, "runs", "retry", run["run_id"])
        assert (refused.exit_code, refused.stderr[:6]) == (1, "KSL003")
        server.process.terminate()
        assert server.end() == 0
    else:
        refused = ksl(project, "hooks", "resume", run["run_id"], "--data", "1")
        assert (refused.exit_code, refused.stderr[:6]) == (1, "KSL003")
    held = json.loads(ksl(project, "runs", "show", run["run_id"]).stdout)
    assert held["status"] == "held"
    assert (held["error"]["code"], held["error"]["type"]) == ("KSL003", "RuleBroken")

    flows(project, RIGHT)
    assert ksl(project, "runs", "retry", run["run_id"]).exit_code in (0, 3)
    answered = ksl(project, "hooks", "resume", run["run_id"], "--data", "1")
    assert answered.exit_code == 0
    assert json.loads(ksl(project, "runs", "show", run["run_id"]).stdout)["status"] == "succeeded"


def types_of(project: Path, run_id: str) -> list[str]:
    shown = json.loads(ksl(project, "runs", "show", run_id, "--include", "events").stdout)
    return [event["type"] for event in shown["events"]]


def test_a_server_lets_them_go_by_itself_when_the_code_is_right(project: Path, start: Start):
    flows(project, RIGHT)
    waits, paused = (json.loads(ksl(project, "workflows", "run", "asking").stdout)["run_id"] for _ in "ab")
    assert ksl(project, "runs", "pause", paused, "--reason", "RuleBroken").exit_code in (0, 3)
    flows(project, WRONG)
    for _ in range(2):  # a second start on the wrong code changes nothing
        server = start("serve")
        assert server.url
        server.process.terminate()
        assert server.end() == 0
    flows(project, RIGHT)
    server = start("serve")
    assert server.url
    assert any("1 run goes on: workflow asking keeps the rule again" in line for line in server.said)
    shown = json.loads(ksl(project, "runs", "show", waits, "--include", "events").stdout)
    assert shown["status"] == "waiting"
    released = [event for event in shown["events"] if event["type"] == "run_released"]
    assert [event["meta"]["by"] for event in released] == ["build"]
    assert types_of(project, waits).count("run_held") == 1
    assert json.loads(ksl(project, "runs", "show", paused).stdout)["status"] == "held"
    assert ksl(project, "hooks", "resume", waits, "--data", "1").exit_code == 0

    # Killed and started once more, nothing is let go a second time.
    server.process.kill()
    server.end()
    again = start("serve")
    assert again.url
    assert not any("goes on" in line for line in again.said)
    assert types_of(project, waits).count("run_released") == 1


def test_code_that_is_right_and_does_not_fit_holds_them_for_that(project: Path, start: Start):
    flows(project, RIGHT)
    run_id = json.loads(ksl(project, "workflows", "run", "asking").stdout)["run_id"]
    flows(project, WRONG)
    server = start("serve")
    assert server.url
    server.process.terminate()
    assert server.end() == 0
    flows(project, RIGHT.replace('await note.run(text="going")', "pass"))
    for _ in range(2):
        server = start("serve")
        assert server.url
        shown = json.loads(ksl(project, "runs", "show", run_id, "--include", "events").stdout)
        while shown["status"] != "held":
            shown = json.loads(ksl(project, "runs", "show", run_id, "--include", "events").stdout)
        assert shown["error"]["code"] == "KSL401"
        held = [event["type"] for event in shown["events"] if event["type"] in ("run_held", "run_released")]
        assert held == ["run_held", "run_released", "run_held"]
        server.process.kill()
        server.end()
