"""Agents over HTTP and by commands: prompted, listed, their sessions shown; models checked before anything runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from ksl.api.app import create_app
from ksl.build.config import load_settings
from ksl.build.discover import discover, unload
from ksl.cli.app import cli
from ksl.runtime import Runtime

from tests.chat_server import KEY, ChatServer, text

Json = dict[str, Any]
AGENTS = """
from ksl import Agent, WebhookSource, action

@action
async def look(what: str) -> str:
    return f"a {what}"

support = Agent("support", model="test/script/agents/support.json", tools=[look], memory=False)
echo = Agent("echo", model="test/echo", memory=False)
WebhookSource("signup", endpoint="signup", payload=dict).attach(echo, prompt="New: {{payload.email}}")
"""
LOOK = {"calls": [{"name": "look", "args": {"what": "pen"}}]}
TURNS = [LOOK, "Seen."]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "main.py").write_text(AGENTS)
    (tmp_path / "agents" / "support.json").write_text(json.dumps(TURNS))
    (tmp_path / "ksl.toml").touch()
    return tmp_path


@pytest.fixture
async def runtime(folder: Path) -> AsyncIterator[Runtime]:
    project = discover(folder)
    project.raise_if_broken()
    runtime = await Runtime.open(folder, load_settings(folder), project=project, serve=True)
    yield runtime
    await runtime.close()
    unload(project)


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(runtime))
    headers = {"Authorization": f"Bearer {runtime.token}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:7420", headers=headers
    ) as client:
        yield client


async def prompt(http: httpx.AsyncClient, runtime: Runtime, **asked: Any) -> Json:
    answer = await http.post("/agents/support/prompt", json=asked)
    assert answer.status_code == 202, answer.text
    await runtime.settled(answer.json()["run_id"], timeout_s=10)
    return answer.json()


async def test_a_prompt_is_a_run_and_its_session_tells_what_was_said(
    http: httpx.AsyncClient, runtime: Runtime
) -> None:
    first = await prompt(http, runtime, message="What is there?")
    second = await prompt(http, runtime, message="And now?", session=first["session_id"])

    run = (await http.get(f"/runs/{first['run_id']}")).json()
    assert run["workflow"] == "agent:support"
    assert run["output"] == {"text": "Seen.", "session_id": first["session_id"]}
    shown = (await http.get(f"/sessions/{first['session_id']}")).json()
    assert [each["run_id"] for each in shown["prompts"]] == [first["run_id"], second["run_id"]]
    assert shown["prompts"][0]["messages"] == [
        {"role": "user", "text": "What is there?"},
        {"role": "call", "turn": 0, "tool": "look", "id": "call-0-0", "arguments": {"what": "pen"}},
        {"role": "result", "turn": 0, "tool": "look", "id": "call-0-0", "result": "a pen"},
        {"role": "assistant", "turn": 1, "text": "Seen."},
    ]
    assert [each["step"] for each in shown["prompts"][0]["turns"]] == [
        "step:support#0/turn#0",
        "step:support#0/turn#1",
    ]
    assert shown["usage"]["turns"] == 4
    (listed,) = (await http.get("/sessions")).json()["sessions"]
    assert listed["session_id"] == first["session_id"]
    assert (listed["status"], listed["prompts"], listed["usage"]) == ("completed", 2, shown["usage"])
    assert listed["started_at"] == shown["prompts"][0]["at"]


async def test_what_is_not_there_is_said(http: httpx.AsyncClient) -> None:
    for method, path, code in (
        ("POST", "/agents/suport/prompt", "KSL811"),
        ("GET", "/sessions/ses_no", "KSL810"),
    ):
        answer = await http.request(method, path, json={"message": "x"} if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (404, code)
    answer = await http.post("/agents/support/prompt", json={"message": "x", "session": "ses_no"})
    assert (answer.status_code, answer.json()["code"]) == (404, "KSL810")
    assert (await http.post("/agents/support/prompt", json={})).status_code == 422


async def test_the_workflows_that_prompt_agents_are_named_in_no_list_of_workflows(
    http: httpx.AsyncClient,
) -> None:
    for method, path in (
        ("GET", "/workflows/none"),
        ("POST", "/workflows/none"),
        ("GET", "/workflows/none/canvas"),
    ):
        answer = await http.request(method, path, json=None)
        assert (answer.status_code, answer.json()["code"]) == (404, "KSL400"), path
        assert "agent:" not in answer.json()["detail"], path
    for path in ("/workflows", "/ui/runs"):
        answer = await http.get(path)
        assert (answer.status_code, "agent:" in answer.text) == (200, False), path


async def test_a_key_repeated_prompts_once(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k"}
    answers = [
        await http.post("/agents/echo/prompt", json={"message": "x"}, headers=headers) for _ in range(2)
    ]

    assert answers[0].json() == answers[1].json()


async def test_agents_are_listed_and_their_own_workflows_are_not(http: httpx.AsyncClient) -> None:
    agents = (await http.get("/agents")).json()["agents"]

    assert [(each["slug"], each["tools"]) for each in agents] == [("echo", []), ("support", ["look"])]
    assert (await http.get("/workflows")).json() == {"workflows": []}


async def test_a_firing_prompts_an_agent(http: httpx.AsyncClient, runtime: Runtime) -> None:
    fired = (await http.post("/triggers/signup/invoke", json={"input": {"email": "a@b.c"}})).json()

    row = await runtime.settled(fired["run_ids"][0], timeout_s=10)
    assert (await http.get(f"/runs/{row.run_id}")).json()["output"]["text"] == "New: a@b.c"
    assert row.trigger == "webhook"


def command(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args])


def asked(folder: Path, *args: str) -> Any:
    result = command(folder, *args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_commands_prompt_an_agent_and_show_its_session(folder: Path) -> None:
    first = asked(folder, "agents", "prompt", "support", "--message", "What is there?")
    session = first["output"]["session_id"]
    asked(folder, "agents", "prompt", "support", "--message", "And now?", "--session", session)

    assert first["output"]["text"] == "Seen."
    assert len(asked(folder, "sessions", "show", session)["prompts"]) == 2
    assert [each["session_id"] for each in asked(folder, "sessions", "list")["sessions"]] == [session]
    assert [each["slug"] for each in asked(folder, "agents", "list")["agents"]] == ["echo", "support"]
    unknown = command(folder, "agents", "prompt", "suport", "--message", "x")
    assert unknown.exit_code != 0
    assert "KSL811" in unknown.stderr


BROKEN: Sequence[tuple[str, str, str]] = (
    ('Agent("a", model="antropic/x")', "KSL800", 'Is "anthropic" meant?'),
    ('Agent("a", model="anthropic")', "KSL800", "vendor/model-id"),
    ('Agent("a")', "KSL800", "there is no default"),
    ('Agent("a", model="openai/gpt-5")', "KSL801", "OPENAI_API_KEY"),
    ('Agent("a", model="test/script/agents/none.json")', "KSL800", "no file"),
    ('Agent("a", model="test/script/../x.json")', "KSL800", "outside the project"),
)


@pytest.mark.parametrize(("code", "error", "said"), BROKEN, ids=[code for code, _, _ in BROKEN])
def test_a_model_that_cannot_be_asked_is_an_error_of_the_build(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, error: str, said: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (folder / "agents" / "main.py").write_text(f"from ksl import Agent\n\nagent = {code}\n")

    result = command(folder, "build", "--json")

    assert result.exit_code == 1
    (found,) = json.loads(result.stdout)["errors"]
    assert (found["file"], found["line"], found["code"]) == ("agents/main.py", 3, error)
    assert said in found["message"]


def test_a_model_named_at_a_call_is_an_error_of_the_build_too(folder: Path) -> None:
    (folder / "workflows").mkdir()
    (folder / "workflows" / "main.py").write_text(
        "from ksl import prompt_llm, workflow\n\n\n@workflow\nasync def w(input: str) -> str:\n"
        '    return await prompt_llm(input, model="nobody/x")\n'
    )

    (found,) = json.loads(command(folder, "build", "--json").stdout)["errors"]

    assert (found["file"], found["line"], found["code"]) == ("workflows/main.py", 6, "KSL800")


async def test_models_shows_which_server_answers(folder: Path) -> None:
    from ksl.cli.commands.models import _look  # pyright: ignore[reportPrivateUsage]

    async with ChatServer([text("x")]) as server:
        address = f"{server.url}/v1"
        (folder / "ksl.toml").write_text(server.settings)
        assert await _look(address, KEY) == {"models": ["small"]}
    gone = await _look(address, KEY)

    assert gone["ready"] is False
    assert "does not answer" in gone["hint"]


async def test_a_list_of_models_without_end_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    from ksl.cli.commands import models

    serving: list[Any] = []

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            while "/fast/" in head:
                writer.write(b" " * 65_536)
                await writer.drain()
            await reader.read()
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    monkeypatch.setattr(models, "PATIENCE_S", 0.3)
    async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        monkeypatch.setattr(models, "_LIST_BYTES_MAX", 100_000)
        fast = await models._look(f"{address}/fast/v1", KEY)  # pyright: ignore[reportPrivateUsage]
        slow = await models._look(f"{address}/slow/v1", KEY)  # pyright: ignore[reportPrivateUsage]
        await asyncio.gather(*serving)

    assert fast == {"models": []}
    assert slow["ready"] is False
