"""What a model says reaches whoever watches while it says it, and is stored once, when it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ksl.runtime.speech import Listener

from tests.chat_server import ChatServer, calls, output, text, turn_of
from tests.engine_fixture import Seen, World
from tests.integration.agents.test_network import AGENT

pytest.importorskip("pydantic_ai")

Json = dict[str, Any]
SAID = "Both are there, and that is all."


class Gate:
    """Lets the server send one piece after the other."""

    def __init__(self) -> None:
        self.sent = 0
        self._open = asyncio.Semaphore(0)
        self.cuts_at: list[int] = []

    async def __call__(self, number: int) -> bool:
        await self._open.acquire()
        if number in self.cuts_at:
            self.cuts_at.remove(number)
            return True
        self.sent += 1
        return False

    def open(self, pieces: int = 1_000) -> None:
        for _ in range(pieces):
            self._open.release()


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    async with ChatServer([text(SAID)]) as server:
        yield server


def words(said: str) -> list[str]:
    return [f"{word} " for word in said.split()]


async def heard(listener: Listener, wanted: str) -> list[Json]:
    """All news until this text was among them."""
    found: list[Json] = []
    while wanted not in "".join(each["delta"] for each in found):
        await listener.heard.wait()
        found += listener.news()
    return found


async def all_heard(listener: Listener, world: World, run_id: str) -> tuple[Seen, list[Json]]:
    """The run at its end, and what was said until then."""
    told: list[Json] = []
    finishing = asyncio.create_task(world.finish(run_id))
    while not finishing.done():
        hearing = asyncio.create_task(listener.heard.wait())
        await asyncio.wait({finishing, hearing}, return_when=asyncio.FIRST_COMPLETED)
        hearing.cancel()
        told += listener.news()
    return finishing.result(), told


async def test_words_are_heard_before_the_turn_ends_and_by_those_who_come_late_from_its_beginning(
    world: World, server: ChatServer
) -> None:
    server.pieces, server.between = words, (gate := Gate())
    await world.load(AGENT, settings=server.settings)
    speech = world.runtime.speech
    run_id = await world.start("w", "Look.")
    with speech.listening(run_id) as early, speech.listening() as all_, speech.listening("run_other") as none:
        gate.open(2)
        first = await heard(early, "Both are ")
        assert first[0]["offset"] == 0
        with speech.listening(run_id) as late:
            (so_far,) = late.news()
            assert (so_far["offset"], so_far["delta"], so_far["attempt"]) == (0, "Both are ", 1)
            assert so_far["step"] == "step:robot#0/turn#0"
            assert so_far["session_id"].startswith("ses_")
        gate.open()
        done = await world.finish(run_id)
        assert all_.news() == []
        assert not none.heard.is_set()

    assert done.output["text"] == " ".join(words(SAID)).replace("  ", " ")
    assert done.steps().count("robot#0/turn#0") == 1
    assert speech.of(None) == []


async def test_a_turn_that_is_cut_off_is_asked_for_again_and_begins_anew_for_those_who_listen(
    world: World, server: ChatServer
) -> None:
    server.pieces, server.between = words, (gate := Gate())
    gate.cuts_at = [2]
    await world.load(AGENT, settings=server.settings)
    run_id = await world.start("w", "Look.")
    with world.runtime.speech.listening(run_id) as listener:
        gate.open()
        done, told = await all_heard(listener, world, run_id)

    assert done.steps("step_retrying") == ["robot#0/turn#0"]
    assert done.output["text"].startswith("Both are there, and")
    assert len(server.requests) == 2
    again = [each for each in told if each["attempt"] == 2]
    assert again[0]["offset"] == 0
    assert "".join(each["delta"] for each in again) in done.output["text"]


async def test_a_secret_is_masked_even_where_it_comes_in_pieces(world: World, server: ChatServer) -> None:
    server.say = (
        [text("The key is sk-very-secret-1, is it not? sk-very-")].__getitem__
        if False
        else (lambda body: text("The key is sk-very-secret-1, is it not? sk-very-"))
    )
    server.pieces, server.between = list, (gate := Gate())
    await world.load(AGENT, settings=server.settings)
    world.runtime.redactor.learn("shop", "sk-very-secret-1")
    run_id = await world.start("w", "Look.")
    told: list[str] = []
    with world.runtime.speech.listening(run_id) as listener:
        for _ in range(48):
            gate.open(1)
            sent = gate.sent
            while gate.sent == sent:
                await asyncio.sleep(0)
            told += [each["delta"] for each in listener.news()]
        gate.open()
        await world.finish(run_id)

    assert "The key is [redacted:shop], is it not?".startswith("".join(told)[:20])
    assert "secret" not in "".join(told)


async def test_answers_of_prompt_llm_are_heard_too(world: World, server: ChatServer) -> None:
    server.pieces, server.between = words, (gate := Gate())
    await world.load(
        '@workflow\nasync def w(input: str) -> str:\n    return await prompt_llm(input, model="local/small")\n',
        settings=server.settings,
    )
    run_id = await world.start("w", "Look.")
    with world.runtime.speech.listening(run_id) as listener:
        gate.open(1)
        (*_, last) = await heard(listener, "Both")
        gate.open()
        await world.finish(run_id)
    assert (last["step"], last["session_id"]) == ("step:prompt-llm#0", None)


async def test_calls_and_structured_answers_say_nothing(world: World, server: ChatServer) -> None:
    said = [calls(("c1", "echo", {"value": "a"})), output({"response": {"kind": "bug", "severity": 1}})]
    server.say = lambda body: said[turn_of(body)]
    await world.load(AGENT, settings=server.settings)
    run_id = await world.start("sorted-by-agent", "Go.")
    with world.runtime.speech.listening(run_id) as listener:
        done, told = await all_heard(listener, world, run_id)
    assert done.output == {"kind": "bug", "is": "Bug"}
    assert "".join(each["delta"] for each in told) == ""


@pytest.mark.parametrize("mishap", [(400, {}), "silence"])
async def test_a_server_that_cannot_stream_is_asked_for_the_whole(
    world: World, server: ChatServer, mishap: Any
) -> None:
    say = server.say
    server.say = lambda body: say({"messages": []})
    server.mishaps = [mishap]
    await world.load(AGENT, settings=server.settings)

    for _ in range(2):
        assert (await world.run("w", "Look.")).output["text"] == SAID

    assert [bool(body.get("stream")) for body in server.requests] == [True, False, False]


async def test_a_server_that_tells_no_use_with_a_stream_is_not_streamed_again(
    world: World, server: ChatServer
) -> None:
    server.tells_use = False
    await world.load(AGENT, settings=server.settings)

    estimated, told = [(await world.run("w", "Look.")).output["tokens"] for _ in range(2)]

    assert 15 < estimated < 1000
    assert told == 15
    assert [bool(body.get("stream")) for body in server.requests] == [True, False]


async def test_an_agent_may_be_told_not_to_stream(world: World, server: ChatServer) -> None:
    await world.load(AGENT.replace('"Be brief."', '"Be brief.", stream=False'), settings=server.settings)

    assert (await world.run("w", "Look.")).output["text"] == SAID

    assert not server.requests[0].get("stream")


async def test_a_run_that_is_cancelled_falls_silent(world: World, server: ChatServer) -> None:
    server.pieces, server.between = words, (gate := Gate())
    await world.load(AGENT, settings=server.settings)
    run_id = await world.start("w", "Look.")
    with world.runtime.speech.listening(run_id) as listener:
        gate.open(1)
        await heard(listener, "Both")
        await world.runtime.cancel(run_id)
        await world.finish(run_id)
        assert listener.news() == []
    assert world.runtime.speech.of(None) == []
