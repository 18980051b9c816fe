from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.integration.api.serving import Served


async def received(response: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Ids and events, as they come."""
    row_id = ""
    async for line in response.aiter_lines():
        if line.startswith("id: "):
            row_id = line[4:]
        elif line.startswith("data: "):
            yield row_id, json.loads(line[6:])


async def test_the_stream_of_a_finished_run_is_its_history_and_ends(served: Served) -> None:
    run_id = (await served.ended("greeting", {"name": "Ada"}))["run_id"]
    async with served.client.stream("GET", f"/runs/{run_id}/stream") as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        rows = [row async for row in received(response)]
    events = (await served.client.get(f"/runs/{run_id}/events")).json()["events"]
    assert [event for _, event in rows] == events
    assert [row_id for row_id, _ in rows] == [str(event["seq"]) for event in events]


async def test_a_stream_goes_on_while_the_run_does_and_ends_with_it(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    types: list[str] = []
    async with served.client.stream("GET", f"/runs/{run_id}/stream") as response:
        async for _, event in received(response):
            types.append(event["type"])
            if event["type"] == "hook_created":
                assert (await served.stranger.post(link, json={"approved": True})).status_code == 200
    assert types[-2:] == ["hook_resumed", "run_completed"]


async def test_a_stream_is_resumed_after_the_last_event_received(served: Served) -> None:
    run_id = (await served.ended("greeting", {"name": "Ada"}))["run_id"]
    resumed = {"Last-Event-ID": "2"}
    async with served.client.stream("GET", f"/runs/{run_id}/stream", headers=resumed) as response:
        row_ids = [row_id async for row_id, _ in received(response)]
    assert row_ids[0] == "3"


async def test_a_browser_that_has_seen_the_end_is_told_not_to_come_back(served: Served) -> None:
    run = await served.run((await served.ended("greeting", {"name": "Ada"}))["run_id"], "events")
    last = {"Last-Event-ID": str(run["events"][-1]["seq"])}
    assert (await served.client.get(f"/runs/{run['run_id']}/stream", headers=last)).status_code == 204


async def test_the_stream_of_everything_has_new_events_of_all_runs(served: Served) -> None:
    before = await served.start("nothing")
    await served.settled(before)
    async with served.client.stream("GET", "/stream") as response:
        lines = received(response)
        run_id = await served.start("nothing")
        row_id, event = await anext(lines)
        assert (event["run_id"], event["type"]) == (run_id, "run_created")
    resumed = {"Last-Event-ID": str(int(row_id) - 1)}
    async with served.client.stream("GET", "/stream", headers=resumed) as response:
        assert await anext(received(response)) == (row_id, event)


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 20])
async def test_a_last_event_id_that_is_none_is_400(served: Served, last: str) -> None:
    answer = await served.client.get("/stream", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.json()["code"]) == (400, "KSL609")


async def test_streams_end_when_the_server_stops(served: Served) -> None:
    run_id = await served.start("sleeper")
    async with served.client.stream("GET", f"/runs/{run_id}/stream") as one:
        async with served.client.stream("GET", "/stream") as all_:
            served.stop.set()
            await asyncio.gather(one.aread(), all_.aread())
