"""The same requests as steps of runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ksl import ActionContext, Context, action, workflow
from ksl.integrations.http import RETRY, HttpAnswer, HttpClient, http_get
from ksl.testing import environment

from tests.integration.api.serving import serving
from tests.integration.integrations.peer import Peer, Seen, answer

NEAR = HttpClient(allow=["127.0.0.1"])


@action(retry=RETRY)
async def order(ctx: ActionContext, url: str) -> str:
    return (await NEAR.post(ctx, url, json={"item": "tea"})).text


@workflow
async def ordering(input: str, ctx: Context) -> str:
    return await order.run(url=input)


@workflow
async def reading(input: str, ctx: Context) -> int:
    return (await http_get.run(url=input)).status


async def test_a_step_comes_back_when_the_service_said_with_the_same_key(there: Peer) -> None:
    asked = asyncio.Event()

    async def busy_once(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        first = len(there.seen) == 1
        later = {"Retry-After": "120"}
        writer.write(answer(b"", status="503 Busy", headers=later) if first else answer(b"ordered"))
        asked.set()

    there.routes["/"] = busy_once
    async with environment() as env:
        run = await env.start(ordering, there.url())
        await asked.wait()
        await env.advance("119s")
        assert len(there.seen) == 1
        await env.advance("2s")
        assert await run.result() == "ordered"
        keys = {seen.headers["idempotency-key"] for seen in there.seen}
        assert keys == {f"{run.run_id}/order#0"}
        assert len(there.seen) == 2


async def test_a_step_that_may_not_go_there_fails_at_once_and_for_good(there: Peer) -> None:
    async with environment() as env:
        run = await env.start(reading, there.url())
        await run.end()
        assert run.error is not None
        assert (run.error.type, run.error["attempts"]) == ("AddressRefused", 1)
        assert there.connections == 0


async def test_a_ready_action_is_stubbed_like_any_other() -> None:
    async with environment() as env:
        env.stub(http_get, returns=HttpAnswer(status=204, url="", headers={}))
        assert await (await env.start(reading, "https://example.com/")).result() == 204


PROJECT = """
from ksl import ActionContext, action, workflow
from ksl.integrations.http import HttpClient

near = HttpClient(allow=["127.0.0.0/8"])


@action
async def fetch(ctx: ActionContext, url: str) -> str:
    return (await near.get(ctx, url)).text


@workflow
async def fetching(input: str) -> str:
    return await fetch.run(url=input)
"""


async def test_a_run_cannot_call_the_server_that_it_is_in(tmp_path: Path, there: Peer) -> None:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n')
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "all.py").write_text(PROJECT)
    there.answers("/", b"a neighbour")
    async with serving(tmp_path) as served:
        own = f"{served.url}/healthz"
        run = (await served.client.post("/workflows/fetching?wait=30s", json=own)).json()
        assert (run["status"], run["error"]["type"]) == ("failed", "AddressRefused"), run
        run = (await served.client.post("/workflows/fetching?wait=30s", json=there.url())).json()
        assert run["output"] == "a neighbour", run
