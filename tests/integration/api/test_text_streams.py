"""What a model says, among the events of a stream: from a real server that streams, to readers quick and slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.chat_server import ChatServer, text
from tests.integration.agents.test_telling import Gate, words
from tests.integration.api.serving import Served, serving

pytest.importorskip("pydantic_ai")

Json = dict[str, Any]
SAID = "It is on its way, and it comes on Monday. "


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    async with ChatServer([text(SAID)]) as server:
        server.pieces, server.between = words, Gate()
        yield server


@pytest.fixture
async def prompted(tmp_path: Path, server: ChatServer) -> AsyncIterator[Served]:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "main.py").write_text(
        'from ksl import Agent\nrobot = Agent("robot", model="local/small", memory=False)\n'
    )
    (tmp_path / "ksl.toml").write_text(f"[server]\nport = 0\n{server.settings}")
    async with serving(tmp_path) as served:
        yield served


def gate_of(server: ChatServer) -> Gate:
    assert isinstance(server.between, Gate)
    return server.between


async def frames(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The fields of each server-sent event."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            if "data" in fields:
                yield fields
            fields = {}


async def prompt(served: Served) -> Json:
    answer = await served.client.post("/agents/robot/prompt", json={"message": "Where is it?"})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def until_text(lines: AsyncIterator[dict[str, str]], wanted: str) -> list[Json]:
    """What was said until then."""
    said: list[Json] = []
    async for fields in lines:
        if fields.get("event") == "text":
            assert "id" not in fields
            said.append(json.loads(fields["data"]))
            if wanted in "".join(each["delta"] for each in said):
                return said
    raise AssertionError(said)


@pytest.mark.parametrize("path", ["/runs/{run_id}/stream", "/stream"])
async def test_words_come_between_the_events_and_have_no_id(
    prompted: Served, server: ChatServer, path: str
) -> None:
    gate_of(server).open(3)
    made = await prompt(prompted)
    async with prompted.client.stream("GET", path.format(**made)) as response:
        lines = frames(response)
        said = await until_text(lines, "It is on ")
        assert said[0]["offset"] == 0
        assert {each["session_id"] for each in said} == {made["session_id"]}
        assert {each["run_id"] for each in said} == {made["run_id"]}
        gate_of(server).open()
        async for fields in lines:
            if "event" not in fields and json.loads(fields["data"])["type"] == "run_completed":
                break
    stored = (await prompted.client.get(f"/runs/{made['run_id']}/events")).json()["events"]
    assert "text" not in {event["type"] for event in stored}


async def test_a_reader_that_connects_again_gets_the_turn_at_hand_from_its_beginning(
    prompted: Served, server: ChatServer
) -> None:
    gate_of(server).open(2)
    made = await prompt(prompted)
    path = f"/runs/{made['run_id']}/stream"
    last = ""
    async with prompted.client.stream("GET", path) as response:
        async for fields in frames(response):
            last = fields.get("id", last)
            if fields.get("event") == "text" and "It is " in json.loads(fields["data"])["delta"]:
                break
    async with prompted.client.stream("GET", path, headers={"Last-Event-ID": last}) as response:
        lines = frames(response)
        said = await until_text(lines, "It is ")
        assert said[0]["offset"] == 0
        gate_of(server).open()
        ids = [int(fields["id"]) async for fields in lines if "id" in fields]
    assert ids[0] == int(last) + 1


async def test_whoever_wants_events_alone_gets_no_words(prompted: Served, server: ChatServer) -> None:
    gate_of(server).open()
    made = await prompt(prompted)
    async with prompted.client.stream("GET", f"/runs/{made['run_id']}/stream?text=false") as response:
        assert all("event" not in fields for fields in [each async for each in frames(response)])


async def test_a_reader_that_does_not_read_holds_up_nobody_and_nothing_is_kept_for_it(
    prompted: Served, server: ChatServer
) -> None:
    long = "word " * 100_000
    server.say = lambda body: text(long)
    server.pieces = lambda said: [said[at : at + 5_000] for at in range(0, len(said), 5_000)]
    gate = gate_of(server)
    where = urlsplit(prompted.url)
    made = await prompt(prompted)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=1_024)
    head = f"GET /runs/{made['run_id']}/stream HTTP/1.1\r\nHost: {where.netloc}\r\n"
    writer.write(f"{head}Authorization: Bearer {prompted.runtime.token}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")  # and then it reads no more

    gate.open()
    run = await prompted.settled(made["run_id"])

    assert (run["status"], run["output"]["text"]) == ("succeeded", long)
    assert prompted.runtime.speech.of(None) == []
    writer.close()


async def test_an_attempt_that_is_cut_off_is_followed_by_one_that_begins_anew(
    prompted: Served, server: ChatServer
) -> None:
    gate = gate_of(server)
    gate.cuts_at = [2]
    gate.open(2)
    made = await prompt(prompted)
    async with prompted.client.stream("GET", f"/runs/{made['run_id']}/stream") as response:
        lines = frames(response)
        await until_text(lines, "It is ")
        gate.open(3)
        again = await until_text(lines, "It is ")
        assert [(each["attempt"], each["offset"]) for each in again][:1] == [(2, 0)]
        gate.open()
        assert [fields async for fields in lines][-1]["data"].find("run_completed") > 0
