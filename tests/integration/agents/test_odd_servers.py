"""Servers that speak the chat protocol oddly, and those that come to no end."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ksl.agent import bounded

from tests.chat_server import ChatServer, calls, text
from tests.engine_fixture import World
from tests.integration.agents.test_network import AGENT

pytest.importorskip("pydantic_ai")

Json = dict[str, Any]
Send = Callable[[bytes], Awaitable[None]]
WHOLE = AGENT.replace("memory=False", "memory=False, stream=False")
STREAM = b"content-type: text/event-stream"
JSON = b"content-type: application/json"
ODD_ANSWERS: list[Any] = [{"choices": []}, {"choices": [{}]}, [], None, "not now"]


async def test_calls_of_one_id_are_told_apart_in_a_turn_and_between_turns(world: World) -> None:
    said = [
        calls(("c1", "echo", {"value": "a"}), ("c1", "other", {"value": "b"})),
        calls(("c1", "echo", {"value": "c"})),
        text("All are there."),
    ]
    async with ChatServer(said) as server:
        await world.load(AGENT, settings=server.settings)

        done = await world.run("w", "Look at all.")

    assert done.output["text"] == "All are there."
    results = [each for each in server.requests[-1]["messages"] if each["role"] == "tool"]
    assert [(each["tool_call_id"], each["content"]) for each in results] == [
        ("c1", "a"),
        ("c1-2", "b"),
        ("c1-3", "c"),
    ]
    asked = [each for each in server.requests[-1]["messages"] if each["role"] == "assistant"]
    assert [call["id"] for each in asked for call in each["tool_calls"]] == ["c1", "c1-2", "c1-3"]


@pytest.mark.parametrize("agent", [AGENT, WHOLE], ids=["streamed", "whole"])
async def test_a_character_in_two_halves_is_one_again(world: World, agent: str) -> None:
    said = [calls(("c1", "echo", {"value": "a"})), text("A \U0001f600 and a half: \ud83d.")]
    async with ChatServer(said) as server:
        server.pieces = lambda content: [*content.replace("\U0001f600", "\ud83d\ude00")]
        await world.load(agent, settings=server.settings)
        with world.runtime.speech.listening() as listener:
            done = await world.run("w", "Smile.")
            told = "".join(each["delta"] for each in listener.news())

    assert done.output["text"] == "A \U0001f600 and a half: \ufffd."
    assert json.dumps(told).isascii()
    told.encode()


@pytest.mark.parametrize("answer", ODD_ANSWERS)
async def test_an_answer_that_lacks_what_it_should_have_is_asked_for_again(world: World, answer: Any) -> None:
    whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
    body = json.dumps({**whole, **answer} if isinstance(answer, dict) else answer).encode()
    async with _OddServer([text("There.")], lambda send: send(body), JSON) as server:
        await world.load(WHOLE, settings=server.settings)

        done = await world.run("w", "Go.")

    assert done.output["text"] == "There."
    assert done.steps("step_retrying") == ["robot#0/turn#0"]
    assert "protocol" in done.data("step_retrying")["message"]


@pytest.mark.parametrize("agent", [AGENT, WHOLE], ids=["streamed", "whole"])
async def test_an_answer_without_end_is_cut_off_and_not_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch, agent: str
) -> None:
    monkeypatch.setattr(bounded, "ANSWER_BYTES_MAX", 100_000)

    async def endless(send: Send) -> None:
        while True:
            await send(b": nothing yet\n\n" * 1_000)

    async with _OddServer([text("There.")], endless, STREAM if agent is AGENT else JSON) as server:
        await world.load(agent, settings=server.settings)

        failed = await world.run("w", "Go.")

    assert failed.status == "failed"
    assert failed.error["type"] == "PayloadTooLarge"
    assert "local/small" in failed.error["message"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("agent", [AGENT, WHOLE], ids=["streamed", "whole"])
async def test_a_turn_has_only_so_long(world: World, monkeypatch: pytest.MonkeyPatch, agent: str) -> None:
    from ksl.agent import vendor

    monkeypatch.setattr(vendor, "TIMEOUT_S", 0.2)

    async def dribbling(send: Send) -> None:
        monkeypatch.setattr(vendor, "TIMEOUT_S", 600.0)  # of the next request
        while True:
            await send(b": nothing yet\n\n")

    async with _OddServer([text("There.")], dribbling, STREAM if agent is AGENT else JSON) as server:
        await world.load(agent, settings=server.settings)

        done = await world.run("w", "Go.")

    assert done.output["text"] == "There."
    assert "no end" in done.data("step_retrying")["message"]


class _OddServer(ChatServer):
    """Answers the first request with whatever `odd` sends."""

    def __init__(self, say: list[Json], odd: Callable[[Send], Awaitable[None]], kind: bytes) -> None:
        super().__init__(say)
        self._odd = odd
        self._kind = kind

    async def _chat(self, writer: Any, body: Json, headers: dict[str, str]) -> None:
        if self.requests:
            await super()._chat(writer, body, headers)
            return
        self.requests.append(body)

        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        await send(b"HTTP/1.1 200 OK\r\n" + self._kind + b"\r\nconnection: close\r\n\r\n")
        await self._odd(send)
        writer.close()
