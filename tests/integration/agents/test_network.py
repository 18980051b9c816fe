"""Prompts and agents over HTTP, with a server that speaks the OpenAI chat protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from textwrap import dedent
from typing import Any

import pytest

from tests.chat_server import ChatServer, calls, output, text, turn_of
from tests.engine_fixture import START_MS, World

pytest.importorskip("pydantic_ai")

Json = dict[str, Any]
AGENT = dedent("""
    from pydantic import BaseModel, Field
    from typing import Annotated, Literal, Union

    class Bug(BaseModel):
        kind: Literal["bug"]
        severity: int
    class Question(BaseModel):
        kind: Literal["question"]
        about: str | None
    Ticket = Annotated[Union[Bug, Question], Field(discriminator="kind")]

    robot = Agent("robot", model="local/small", tools=[echo, other, fail], system_prompt="Be brief.", memory=False)

    @workflow
    async def w(input: str) -> Any:
        result = await robot.prompt(input)
        return {"text": result.text, "tokens": result.usage.tokens, "turns": result.usage.turns}

    @workflow
    async def tickets(input: str) -> Any:
        ticket = await prompt_llm(input, model="local/small", output=Ticket, system_prompt="Sort it.")
        match ticket:
            case Bug(severity=severity):
                return severity
            case Question(about=about):
                return about
            case _:
                return "?"

    @workflow
    async def sorted_by_agent(input: str) -> Any:
        result = await robot.prompt(input, output=Ticket)
        return {"kind": result.output.kind, "is": type(result.output).__name__}
""")
BOTH = calls(("c1", "echo", {"value": "a"}), ("c2", "other", {"value": "b"}))


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    async with ChatServer([BOTH, text("Both are there.")]) as server:
        yield server


async def test_tools_called_in_parallel_are_steps_and_their_results_go_back(
    world: World, server: ChatServer
) -> None:
    await world.load(AGENT, settings=server.settings)

    done = await world.run("w", "Look at both.")

    assert done.output == {"text": "Both are there.", "tokens": 30, "turns": 2}
    assert done.steps() == [
        "robot#0/session#0", "robot#0/turn#0", "robot#0/echo#0", "robot#0/other#0", "robot#0/turn#1", "robot#0",
    ]  # fmt: skip
    asked = server.requests[1]["messages"]
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "tool", "tool"]
    assert [(each["tool_call_id"], each["content"]) for each in asked[3:]] == [("c1", "a"), ("c2", "b")]
    assert asked[2]["content"] == ""  # servers other than OpenAI's refuse null, and some that it is left out
    assert {tool["function"]["name"] for tool in server.requests[0]["tools"]} == {"echo", "other", "fail"}


async def test_no_crash_repeats_a_recorded_turn_or_tool(world: World, server: ChatServer) -> None:
    await world.load(AGENT, settings=server.settings)
    done = await world.run("w", "Look at both.")

    await world.crash_everywhere(done.run_id)


async def test_a_structured_answer_is_one_of_a_union(world: World, server: ChatServer) -> None:
    server.say = lambda body: output({"response": {"kind": "bug", "severity": 3}})
    await world.load(AGENT, settings=server.settings)

    assert (await world.run("tickets", "It crashes.")).output == 3

    server.say = lambda body: output({"response": {"kind": "question", "about": None}})
    assert (await world.run("tickets", "How?")).output is None
    done = await world.run("sorted-by-agent", "How?")
    assert done.output == {"kind": "question", "is": "Question"}


async def test_a_server_that_cannot_require_a_tool_is_given_its_name(
    world: World, server: ChatServer
) -> None:
    server.say = lambda body: output({"response": {"kind": "bug", "severity": 4}})
    await world.load(AGENT, settings=server.settings + 'tool_choice = "named"\n')

    assert (await world.run("tickets", "It burns.")).output == 4
    assert server.requests[0]["tool_choice"] == {"type": "function", "function": {"name": "final_result"}}

    server.say = lambda body: text('{"response": {"kind": "question", "about": null}}')
    assert (await world.run("sorted-by-agent", "Why?")).output == {"kind": "question", "is": "Question"}
    assert server.requests[1]["tool_choice"] == "auto"  # there are other tools that it may want first


async def test_an_answer_that_does_not_fit_goes_back_to_the_model(world: World, server: ChatServer) -> None:
    def say(body: Json) -> Json:
        fits = turn_of(body) == 1
        return output({"response": {"kind": "bug", "severity": 2 if fits else "very"}})

    server.say = say
    await world.load(AGENT, settings=server.settings)

    assert (await world.run("tickets", "It crashes.")).output == 2
    assert "severity" in server.requests[1]["messages"][-1]["content"]


async def test_an_answer_that_never_fits_fails_the_step_after_three_turns(
    world: World, server: ChatServer
) -> None:
    server.say = lambda body: output({"response": {"kind": "poem"}})
    await world.load(AGENT, settings=server.settings)

    llm = await world.run("tickets", "It crashes.")
    agent = await world.run("sorted-by-agent", "It crashes.")

    assert llm.error["code"] == agent.error["code"] == "KSL804"
    assert len(server.requests) == 6


async def test_each_of_several_answers_that_do_not_fit_is_replied_to(
    world: World, server: ChatServer
) -> None:
    bad = {"response": {"kind": "poem"}}
    good = {"response": {"kind": "bug", "severity": 1}}

    def say(body: Json) -> Json:
        return (
            output(good) if turn_of(body) else calls(("c1", "final_result", bad), ("c2", "final_result", bad))
        )

    server.say = say
    await world.load(AGENT, settings=server.settings)

    assert (await world.run("tickets", "It crashes.")).output == 1
    assert (await world.run("sorted-by-agent", "It crashes.")).output == {"kind": "bug", "is": "Bug"}
    for body in (server.requests[1], server.requests[3]):
        results = [each for each in body["messages"] if each["role"] == "tool"]
        assert [each["tool_call_id"] for each in results] == ["c1", "c2"]
        assert "does not fit" in results[0]["content"]


async def test_a_server_that_asks_to_wait_is_asked_again_no_sooner(world: World, server: ChatServer) -> None:
    server.mishaps = [(429, {"retry-after": "30"})]
    await world.load(AGENT, settings=server.settings)

    done = await world.run("w", "Look at both.")

    assert done.output["turns"] == 2
    assert done.steps("step_retrying") == ["robot#0/turn#0"]
    assert world.clock.ms >= START_MS + 30_000
    assert server.turns == {0: 1, 1: 1}


@pytest.mark.parametrize("mishap", [(500, {}), (503, {}), "cut", "junk"], ids=["500", "503", "cut", "junk"])
async def test_a_server_that_stumbles_is_asked_again(world: World, server: ChatServer, mishap: Any) -> None:
    server.mishaps = [mishap, mishap]
    await world.load(AGENT, settings=server.settings)

    done = await world.run("w", "Look at both.")

    assert done.output == {"text": "Both are there.", "tokens": 30, "turns": 2}
    # A stream of nothing is asked for again as a whole, in the same attempt.
    retries = 1 if mishap == "junk" else 2
    assert done.steps("step_retrying") == ["robot#0/turn#0"] * retries
    assert len(server.requests) == 4


async def test_a_refusal_is_final_and_names_what_was_said(world: World, server: ChatServer) -> None:
    server.mishaps = [(401, {})]
    await world.load(AGENT, settings=server.settings)

    failed = await world.run("w", "Look at both.")

    assert failed.status == "failed"
    assert failed.error["code"] == "KSL802"
    assert "not now" in failed.error["message"]
    assert len(server.requests) == 1


async def test_wrong_arguments_and_unknown_tools_are_told_to_the_model(
    world: World, server: ChatServer
) -> None:
    said = [
        calls(("c1", "fail", {"times": "many"}), ("c2", "delete_all", {}), ("c3", "echo", "{not json")),
        text("I see."),
    ]
    server.say = lambda body: said[turn_of(body)]
    await world.load(AGENT, settings=server.settings)

    done = await world.run("w", "Go.")

    assert done.output["text"] == "I see."
    assert world.stage.steps == []
    wrong, unknown, junk = (each["content"] for each in server.requests[1]["messages"][-3:])
    assert "times" in wrong
    assert "there is no tool 'delete_all'" in unknown
    assert "not JSON" in junk


async def test_a_tool_that_keeps_failing_ends_the_prompt(world: World, server: ChatServer) -> None:
    server.say = lambda body: calls((f"c{turn_of(body)}", "fail", {"message": "no"}))
    await world.load(AGENT, settings=server.settings)

    failed = await world.run("w", "Go.")

    assert failed.error["code"] == "KSL806"
    assert len(server.requests) == 5
    assert server.requests[1]["messages"][-1]["content"] == "Error: ValueError: no"


async def test_secrets_are_neither_stored_nor_told(world: World, server: ChatServer) -> None:
    await world.load(AGENT, settings=server.settings)

    done = await world.run("w", "Look at both.")

    assert "sk-test" not in repr(done.events)
    assert all("sk-test" not in repr(body) for body in server.requests)
