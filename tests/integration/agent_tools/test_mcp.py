"""Against a real server of the protocol, in a process of its own."""

from __future__ import annotations

import asyncio
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, SecretStr

from ksl import Sandbox, action, requires_approval
from ksl.agent.tool_set import ToolError
from ksl.agent.tools import check_tool_sets
from ksl.agent.tools.mcp_server import McpTools, filled_in, names_for_models
from ksl.define.agent import Agent
from ksl.define.credential import Credential
from ksl.define.mcp import mcp
from ksl.errors import ExtraMissing, FatalError, MalformedDefinition
from ksl.testing import script

from tests.engine_fixture import World
from tests.integration.agent_tools.places import Given, place

pytestmark = pytest.mark.process
EXAMPLE = Path(__file__).with_name("mcp_example.py")


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def command(calls: Path) -> str:
    return shlex.join([sys.executable, str(EXAMPLE), str(calls)])


@pytest.fixture
async def tools(command: str) -> AsyncGenerator[McpTools]:
    tools = McpTools(mcp(command, name="example"))
    yield tools
    await tools.close()


@pytest.fixture
def address(calls: Path) -> Generator[str]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, str(EXAMPLE), str(calls), str(port)], stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    for line in server.stderr:
        if "running on" in line:
            break
    yield f"http://127.0.0.1:{port}/mcp"
    server.kill()
    server.wait()
    server.stderr.close()


async def test_tools_are_listed_and_called_over_standard_input_and_output(
    tools: McpTools, tmp_path: Path, calls: Path
) -> None:
    offer = await tools.offer(place(tmp_path))
    assert [(each.name, each.own) for each in offer.tools] == [
        ("example_add", "add"),
        ("example_fail", "fail"),
        ("example_environment", "environment"),
        ("example_header", "header"),
        ("example_folder", "folder"),
        ("example_die", "die"),
        ("example_not_for_models", "not.for.models"),
        ("example_wait", "wait"),
        ("example_look", "look"),
        (f"example_{'a' * 47}_6bd5e503", "a" * 70),
    ]
    add = offer.tools[0]
    assert add.description == "Adds two numbers."
    assert sorted(add.schema["properties"]) == ["a", "b"]
    assert await tools.call("add", {"a": 2, "b": 3}, place(tmp_path)) == "5"
    assert calls.read_text() == "add 2 3\n"
    assert await tools.call("folder", {}, place(tmp_path)) == str(tmp_path)


async def test_tools_are_listed_and_called_over_http(address: str, tmp_path: Path) -> None:
    tools = McpTools(mcp(address, name="example", tools=["add"]))
    try:
        assert [each.name for each in (await tools.offer(place(tmp_path))).tools] == ["example_add"]
        assert await tools.call("add", {"a": 2, "b": 3}, place(tmp_path)) == "5"
    finally:
        await tools.close()


async def test_many_calls_share_a_connection(tools: McpTools, tmp_path: Path) -> None:
    ends = [tools.call("add", {"a": n, "b": 1}, place(tmp_path)) for n in range(20)]
    assert await asyncio.gather(*ends) == [str(n + 1) for n in range(20)]


async def test_what_goes_wrong_is_told_to_the_model(tools: McpTools, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no such order"):
        await tools.call("fail", {"why": "no such order"}, place(tmp_path))
    with pytest.raises(ToolError, match="validation error"):
        await tools.call("add", {"a": "two"}, place(tmp_path))
    with pytest.raises(ToolError, match="nowhere"):
        await tools.call("nowhere", {}, place(tmp_path))


async def test_a_server_that_died_is_started_again_for_the_next_call(tools: McpTools, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="MCP server example"):
        await tools.call("die", {}, place(tmp_path))
    assert await tools.call("add", {"a": 2, "b": 3}, place(tmp_path)) == "5"


async def test_the_server_has_of_the_environment_what_it_is_given(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = McpTools(mcp(command, name="example", env={"GIVEN": "a ${KSL_TEST_WORD} b"}))
    monkeypatch.setenv("KSL_TEST_WORD", "word")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    assert await tools.call("environment", {"name": "GIVEN"}, place(tmp_path)) == "a word b"
    assert await tools.call("environment", {"name": "OPENAI_API_KEY"}, place(tmp_path)) == "not set"
    await tools.close()


class Token(BaseModel):
    token: SecretStr
    tenant: str = "acme"


tickets = Credential("tickets", fields=Token)


async def test_credentials_are_filled_into_the_environment_and_a_new_one_counts_at_the_next_call(
    command: str, tmp_path: Path
) -> None:
    server = mcp(
        command, name="example", env={"T": "${tickets.tenant}/${tickets.token}"}, credentials=[tickets]
    )
    tools = McpTools(server)
    given = Given({tickets: Token(token=SecretStr("first-secret"))})
    told = [await tools.call("environment", {"name": "T"}, place(tmp_path, secrets=given))]
    given.given[tickets] = Token(token=SecretStr("second-secret"))
    told.append(await tools.call("environment", {"name": "T"}, place(tmp_path, secrets=given)))
    assert told == ["acme/first-secret", "acme/second-secret"]
    await tools.close()
    assert str(tmp_path / "calls") not in _commands()


async def test_credentials_are_filled_into_headers(address: str, tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer ${tickets.token}"}
    tools = McpTools(mcp(address, name="example", headers=headers, credentials=[tickets]))
    given = Given({tickets: Token(token=SecretStr("first-secret"))})
    try:
        said = await tools.call("header", {"name": "authorization"}, place(tmp_path, secrets=given))
    finally:
        await tools.close()
    assert said == "Bearer first-secret"


async def test_variables_that_hold_secrets_are_masked_from_then_on(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_TEST_TOKEN", "sk-1234567890")
    monkeypatch.setenv("KSL_TEST_MODE", "production")
    given = Given()
    started = mcp(command, name="example", env={"API": "${KSL_TEST_TOKEN}", "MODE": "${KSL_TEST_MODE}"})
    asked = mcp("https://tools.example.org/mcp", headers={"X-Mode": "${KSL_TEST_MODE}"})
    assert await filled_in(started, given) == {"API": "sk-1234567890", "MODE": "production"}
    assert given.learned == [("example", "sk-1234567890")]
    await filled_in(asked, given)
    assert given.learned[1:] == [("tools-example-org", "production")]


def test_names_that_models_do_not_take_are_changed_and_stay_apart() -> None:
    long = "x" * 80
    names = names_for_models("s", ["a.b", "a_b", "a b", "\N{SNOWMAN}", long, f"{long}y", "ok-1"])
    assert names["a_b"] == "s_a_b"
    assert names["ok-1"] == "s_ok-1"
    assert len(set(names.values())) == 7
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", each) for each in names.values())
    assert names["a.b"].startswith("s_a_b_")


async def test_a_variable_that_is_not_set_is_named(command: str, tmp_path: Path) -> None:
    tools = McpTools(mcp(command, name="example", env={"GIVEN": "a ${KSL_TEST_WORD} b"}))
    with pytest.raises(FatalError, match="the variable KSL_TEST_WORD"):
        await tools.offer(place(tmp_path))


async def test_a_server_that_cannot_be_reached_is_a_broken_connection(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        tools = McpTools(mcp(f"http://127.0.0.1:{closed.getsockname()[1]}/mcp", name="example"))
        with pytest.raises(ConnectionError, match="MCP server example"):
            await tools.offer(place(tmp_path))
        await tools.close()
    missing = McpTools(mcp("/nowhere/server", name="example"))
    with pytest.raises(ConnectionError, match="cannot be reached"):
        await missing.offer(place(tmp_path))
    await missing.close()


async def test_a_named_tool_that_the_server_lacks_is_an_error(command: str, tmp_path: Path) -> None:
    tools = McpTools(mcp(command, name="example", tools=["add", "remove"]))
    with pytest.raises(FatalError, match="has no tool remove"):
        await tools.offer(place(tmp_path, key="k"))
    await tools.close()


async def test_a_script_leaves_no_server_behind(command: str, tmp_path: Path) -> None:
    tools = McpTools(mcp(command, name="example"))
    outside = msgspec.structs.replace(place(tmp_path), run_id="")
    assert await tools.call("add", {"a": 2, "b": 3}, outside) == "5"
    assert str(tmp_path / "calls") not in _commands()


async def test_closing_ends_the_server(command: str, tmp_path: Path) -> None:
    tools = McpTools(mcp(command, name="example"))
    await tools.offer(place(tmp_path))
    assert str(tmp_path / "calls") in _commands()
    await tools.close()
    assert str(tmp_path / "calls") not in _commands()


@pytest.mark.parametrize("refused", [2, 99])
async def test_a_server_that_is_not_there_yet_is_waited_for_a_while(
    world: World, address: str, refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ksl.agent.turn.PAUSES_S", (0.0,) * 5)
    asked = 0
    reach = McpTools.offer

    async def offer(self: McpTools, context: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked <= refused:
            raise ConnectionError("not yet")
        return await reach(self, context)

    monkeypatch.setattr(McpTools, "offer", offer)
    await world.load(
        dedent(f"""
            from ksl import mcp

            robot = Agent("robot", model="test/echo", tools=[mcp({address!r}, name="example")], memory=False)

            @workflow(retry=Retry(attempts=1))
            async def w(input: None) -> str:
                return (await robot.prompt("Go.")).text
        """)
    )

    ended = await world.run()

    assert ended.status == ("succeeded" if refused == 2 else "failed")
    assert asked == (3 if refused == 2 else 6)


def use(tool: str, **args: Any) -> dict[str, Any]:
    return {"calls": [{"name": tool, "args": args}]}


async def test_closing_does_not_wait_for_a_server_that_says_nothing(tmp_path: Path) -> None:
    silent = tmp_path / "silent.py"
    silent.write_text("import pathlib, sys, time\npathlib.Path('began').touch()\nsys.stdin.read()\n")
    tools = McpTools(mcp(shlex.join([sys.executable, str(silent)]), name="silent"))
    asking = asyncio.create_task(tools.offer(place(tmp_path)))
    async with asyncio.timeout(60):
        while not (tmp_path / "began").exists():
            await asyncio.sleep(0.01)
    async with asyncio.timeout(20):  # less than it would be waited for
        await tools.close()
    with pytest.raises(ConnectionError, match="ksl is stopping"):
        await asking
    assert str(silent) not in _commands()


async def test_calls_are_steps_and_what_is_listed_later_is_no_tool(
    world: World, command: str, calls: Path
) -> None:
    """The server lists another tool once the prompt is under way, and the model uses it: nothing happens."""

    def grown(_: Any) -> Any:
        Path(f"{calls}.more").touch()  # and for a server that is started again
        return use("example_add", a=1, b=1)

    model = script(
        "user-of-mcp",
        [
            use("example_add", a=2, b=3),
            grown,
            use("example_wipe"),
            lambda messages: messages[-1]["parts"][0]["content"],
        ],
    )
    await world.load(
        dedent(f"""
            from ksl import mcp

            robot = Agent("robot", model={model!r}, tools=[mcp({command!r}, name="example")], memory=False)

            @workflow
            async def w(input: None) -> str:
                return (await robot.prompt("Go.")).text
        """)
    )
    done = await world.run()
    assert "there is no tool 'example_wipe'" in done.output
    assert "robot#0/example_add#0" in done.steps()
    assert calls.read_text() == "add 2 3\nadd 1 1\n"


@pytest.mark.parametrize(
    ("tool", "begun", "said"), [("wait", 1, "may have taken effect"), ("look", 2, "look done")]
)
async def test_a_call_that_a_crash_cut_off_is_made_again_only_where_that_is_harmless(
    world: World, command: str, calls: Path, tool: str, begun: int, said: str
) -> None:
    model = script("cut-off", [use(f"example_{tool}"), lambda messages: messages[-1]["parts"][0]["content"]])
    await world.load(
        dedent(f"""
            from ksl import mcp

            robot = Agent("robot", model={model!r}, tools=[mcp({command!r}, name="example")], memory=False)

            @workflow
            async def w(input: None) -> str:
                return (await robot.prompt("Go.")).text
        """)
    )
    run_id = await world.start()
    async with asyncio.timeout(60):
        while not calls.exists():
            await asyncio.sleep(0.01)
    Path(f"{calls}.go").touch()

    await world.restart()
    done = await world.finish(run_id)

    assert said in done.output
    assert calls.read_text().splitlines() == [tool] * begun
    assert (f"robot#0/example_{tool}#0" in done.steps("step_started")) == (tool == "wait")


def test_a_definition_is_checked() -> None:
    for wrong, said in (
        (lambda: mcp(""), "an address or a command"),
        (lambda: mcp("'"), "cannot be read"),
        (lambda: mcp("https://a.example/mcp", env={"A": "b"}), "use headers"),
        (lambda: mcp("server", headers={"A": "b"}), "use env"),
        (lambda: mcp("server", name="A b"), "slug"),
        (lambda: mcp("server", env={"A": "${tickets.token}"}), "not among credentials"),
        (lambda: mcp("server", env={"A": "${tickets.key}"}, credentials=[tickets]), "has no field key"),
        (lambda: mcp("server", env={"A": "$HOME"}), "cannot be read"),
        (lambda: mcp("server", env={"A": tickets}), "are texts"),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(MalformedDefinition, match=said):
            wrong()
    assert mcp("https://tools.example.org/mcp").name == "tools-example-org"
    assert mcp("/usr/bin/my_server.py --fast").name == "my-server"


def test_two_servers_of_one_name_do_not_build(tmp_path: Path) -> None:
    agent = Agent("support", model="test/echo", tools=[mcp("server --a"), mcp("server --b")])
    with pytest.raises(MalformedDefinition, match="two sets of tools of the name 'server'"):
        check_tool_sets(agent, folder=tmp_path)


@pytest.mark.parametrize(
    ("slug", "options", "whose"),
    [
        ("read", {"sandbox": Sandbox("desk")}, "files"),
        ("bash", {"sandbox": Sandbox("desk", shell=True)}, "shell"),
        ("memory-write", {}, None),  # models are told memory_write
    ],
)
def test_a_tool_of_the_name_of_one_that_comes_along_does_not_build(
    tmp_path: Path, slug: str, options: dict[str, Any], whose: str | None
) -> None:
    @action(slug=slug)
    def own() -> str:
        return ""

    for tool in (own, requires_approval(own)):
        agent = Agent("support", model="test/echo", tools=[tool], **options)
        if whose is None:
            check_tool_sets(agent, folder=tmp_path)
            continue
        with pytest.raises(MalformedDefinition, match=f"two tools of the name '{slug}': .* its {whose}"):
            check_tool_sets(agent, folder=tmp_path)


def test_a_tool_whose_name_is_too_long_for_models_is_refused() -> None:
    @action(slug="a" * 65)
    def own() -> str:
        return ""

    with pytest.raises(MalformedDefinition, match="65 characters; models take 64"):
        Agent("support", tools=[own])


def test_without_its_extra_it_does_not_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: str) -> None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", nothing)
    with pytest.raises(ExtraMissing, match=r"ksl\[mcp\]"):
        check_tool_sets(Agent("support", model="test/echo", tools=[mcp("server")]), folder=tmp_path)


def _commands() -> str:
    lines: list[str] = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(each.read_text().replace("\0", " "))
        except (OSError, UnicodeDecodeError):
            continue
    return "\n".join(lines)
