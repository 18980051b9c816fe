"""Real requests to servers on loopback that speak the protocols of vendors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from textwrap import dedent
from typing import Any

import pytest

from tests.engine_fixture import START_MS, World
from tests.vendor_servers import Asked, GenerateContent, Messages, Said, Speech, VendorServer

pytest.importorskip("pydantic_ai")

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

    robot = Agent("robot", model="MODEL", tools=[echo, other], system_prompt="Be brief.", memory=False, stream=STREAM)

    @workflow
    async def w(input: str) -> Any:
        result = await robot.prompt(input)
        return {"text": result.text, "tokens": result.usage.tokens, "turns": result.usage.turns}

    @workflow
    async def joke(input: str) -> str:
        return await prompt_llm(input, model="MODEL", system_prompt="Be funny.")

    @workflow
    async def ticket(input: str) -> Any:
        found = await prompt_llm(input, model="MODEL", output=Ticket)
        return [type(found).__name__, found.model_dump()]

    @workflow
    async def agent_ticket(input: str) -> Any:
        return (await robot.prompt(input, output=Ticket)).output.model_dump()
""")
BOTH = Said(calls=(("echo", {"value": "a"}), ("other", {"value": "b"})))
KEY = "sk-of-a-vendor"


@pytest.fixture(params=[Messages, GenerateContent], ids=["anthropic", "google"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[VendorServer]:
    speech: Speech = request.param()
    async with VendorServer(speech, [BOTH, Said("Both are there.")]) as server:
        yield server


async def load(world: World, server: VendorServer, *, stream: bool = False) -> None:
    text = AGENT.replace("MODEL", server.model).replace("STREAM", str(stream))
    await world.load(text, settings=server.settings(KEY))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_tools_called_in_parallel_are_steps_and_their_results_go_back(
    world: World, server: VendorServer, stream: bool
) -> None:
    await load(world, server, stream=stream)

    done = await world.run("w", "Look at both.")

    assert done.output == {"text": "Both are there.", "tokens": 30, "turns": 2}
    assert sorted(world.stage.ledger) == [("robot#0/echo#0", "a"), ("robot#0/other#0", "b")]
    first, second = server.asked
    assert (first.model, first.key) == (server.speech.model, KEY)
    assert "Be brief." in first.system
    assert sorted(first.tools) == ["echo", "other"]
    assert not first.must_call
    assert second.results == ("a", "b")
    assert KEY not in repr(done.events)
    await world.crash_everywhere(done.run_id)


async def test_a_turn_of_a_known_model_has_a_price(world: World, server: VendorServer) -> None:
    await load(world, server)

    done = await world.run("w", "Look at both.")

    (turn, _) = [event for event in done.events if (event.step or "").startswith("robot#0/turn")]
    assert turn.meta is not None
    assert turn.meta.model_use is not None
    assert turn.meta.model_use.usd is not None
    assert turn.meta.model_use.usd > 0


async def test_text_is_asked_with_the_system_prompt(world: World, server: VendorServer) -> None:
    server.say = lambda asked: Said("Ha.")
    await load(world, server)

    assert (await world.run("joke", "Tell one.")).output == "Ha."
    assert ["Be funny." in asked.system for asked in server.asked] == [True]


async def test_a_structured_answer_is_one_of_a_union(world: World, server: VendorServer) -> None:
    given: list[Any] = [{"kind": "bug", "severity": "very"}, {"kind": "bug", "severity": 3}]

    def say(asked: Asked) -> Said:
        assert asked.must_call
        assert "final_result" in asked.tools
        return Said(calls=(("final_result", {"response": given[asked.turns]}),))

    server.say = say
    await load(world, server)

    assert (await world.run("ticket", "It crashes.")).output == ["Bug", {"kind": "bug", "severity": 3}]
    assert "severity" in server.asked[1].results[0]
    given[0] = {"kind": "question", "about": None}
    assert (await world.run("agent-ticket", "How?")).output == given[0]


async def test_a_server_that_asks_to_wait_is_asked_again_no_sooner(
    world: World, server: VendorServer
) -> None:
    server.mishaps = [(429, {"retry-after": "30"})]
    await load(world, server)

    done = await world.run("w", "Look at both.")

    assert done.output["turns"] == 2
    assert done.steps("step_retrying") == ["robot#0/turn#0"]
    assert world.clock.ms >= START_MS + 30_000
    assert len(server.asked) == 3


@pytest.mark.parametrize("mishap", [(500, {}), (529, {}), "cut", "junk"], ids=["500", "529", "cut", "junk"])
async def test_a_server_that_stumbles_is_asked_again(world: World, server: VendorServer, mishap: Any) -> None:
    server.mishaps = [mishap, mishap]
    await load(world, server)

    done = await world.run("w", "Look at both.")

    assert done.output == {"text": "Both are there.", "tokens": 30, "turns": 2}
    assert done.steps("step_retrying") == ["robot#0/turn#0"] * 2
    assert len(server.asked) == 4


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_refusal_is_final_and_names_what_was_said(
    world: World, server: VendorServer, status: int
) -> None:
    server.mishaps = [(status, {})]
    await load(world, server)

    failed = await world.run("w", "Look at both.")

    assert failed.status == "failed"
    assert failed.error["code"] == "KSL802"
    assert "not now" in failed.error["message"]
    assert len(server.asked) == 1


async def test_a_conversation_with_calls_goes_on_where_there_are_no_tools(
    world: World, server: VendorServer
) -> None:
    said = [Said(calls=(("final_result", {"response": 7}),)), Said("Seven.")]
    server.say = lambda asked: said[len(server.asked) - 1]
    await world.load(
        dedent(f"""
            plain = Agent("plain", model="{server.model}", memory=False)

            @workflow
            async def w(input: None) -> Any:
                first = await plain.prompt("Count.", output=int)
                second = await plain.prompt("Say it.", session=first.session_id)
                return [first.output, second.text]
        """),
        settings=server.settings(KEY),
    )

    assert (await world.run("w")).output == [7, "Seven."]
    assert not server.asked[1].must_call


async def test_a_long_conversation_with_calls_is_summed_up(world: World, server: VendorServer) -> None:
    said = [
        Said(calls=(("echo", {"value": "a"}),)),
        Said("It began with a."),
        Said(calls=(("echo", {"value": "b"}),)),
        Said("It was about a and b."),
        Said("Done."),
    ]
    server.say = lambda asked: said[len(server.asked) - 1]
    server.speech.input_tokens = 1_000
    await world.load(
        dedent(f"""
            robot = Agent("robot", model="{server.model}", tools=[echo], memory=False, compact_at=1000)

            @workflow
            async def w(input: None) -> Any:
                return (await robot.prompt("Go.")).text
        """),
        settings=server.settings(KEY),
    )

    done = await world.run("w")

    assert done.output == "Done."
    assert [step for step in done.steps() if "summary" in step] == ["robot#0/summary#0", "robot#0/summary#1"]
    assert "It was about a and b." in str(server.asked[-1].body)
    assert "It began with a." not in str(server.asked[-1].body)
