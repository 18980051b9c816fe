"""A real project on disk, a real runtime on a real database, a real server on a free port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from ksl.api.server import serve
from ksl.build.config import load_settings
from ksl.build.discover import discover, unload
from ksl.runtime import Runtime

WORKFLOWS = '''
"""Workflows that wait, ask, fail and greet."""

import asyncio
from typing import Literal

from pydantic import BaseModel, Field

from ksl import Context, FatalError, HookTimeout, action, workflow


class Name(BaseModel):
    name: str


class Approval(BaseModel):
    approved: bool
    level: Literal["low", "high"] = "low"
    note: str = ""


@action
async def greet(name: str) -> str:
    return f"Hello, {name}"


@action
async def fail(why: str) -> None:
    raise FatalError(why)


@action
async def hold() -> None:
    await asyncio.sleep(3600)


@workflow
async def holding() -> None:
    await hold.run()


@workflow
async def greeting(input: Name) -> dict[str, str]:
    """Greets somebody."""
    return {"message": await greet.run(name=input.name)}


@workflow
async def nothing() -> str:
    return "done"


@workflow
async def failing() -> None:
    await fail.run(why="out of order")


@workflow
async def approval(input: dict[str, str], ctx: Context) -> Approval:
    return await ctx.hook(
        Approval, title="Ship it?", details={"version": "1.2 <b>"}, name="ship", get=input.get("get", "auto")
    )


@workflow
async def loud(input: dict[str, str], ctx: Context) -> object:
    return await ctx.hook(title=input["text"], details={input["text"]: input["text"]})


@workflow
async def question(ctx: Context) -> object:
    return await ctx.hook(title="What now?")


@workflow
async def both(ctx: Context) -> list[object]:
    first, second = ctx.hook(Approval, name="first"), ctx.hook(Approval, name="second")
    return list(await asyncio.gather(first, second))


class Address(BaseModel):
    street: str
    zip: str


class Line(BaseModel):
    sku: str
    count: int


class Shipment(BaseModel):
    address: Address
    lines: list[Line]
    pay: Literal["card", "cash"]


@workflow
async def shipment(ctx: Context) -> Shipment:
    return await ctx.hook(Shipment, title="Where to?")


NASTY = '<b onclick="x">\\u202e\\u2066' + "x" * 300_000


class Nasty(BaseModel):
    kind: Literal["short", NASTY]
    text: str = Field(title=NASTY, description=NASTY)
    level: Literal["low", '<b onclick="y">']


@workflow
async def nasty_schema(ctx: Context) -> object:
    return await ctx.hook(Nasty, title=NASTY, name=NASTY)


@workflow
async def impatient(ctx: Context) -> None:
    await ctx.hook(Approval, timeout="10ms")


@workflow
async def lapsing(ctx: Context) -> object:
    """Two hooks at once, of which the first expires; the run goes on until the second is answered."""
    first, second = ctx.hook(timeout="10ms", name="first"), ctx.hook(name="second")
    try:
        await first
    except HookTimeout:
        pass
    return await second


@workflow
async def sleeper(ctx: Context) -> None:
    ctx.log.info("going to sleep", days=1)
    await ctx.sleep("1d")


@workflow
async def health() -> str:
    return "a slug like an open address"


@workflow
async def many(input: int) -> int:
    for number in range(input):
        await greet.run(name=str(number))
    return input
'''


@dataclass
class Served:
    """`client` carries the token, `stranger` does not."""

    url: str
    runtime: Runtime
    client: httpx.AsyncClient
    stranger: httpx.AsyncClient
    stop: asyncio.Event

    async def start(self, workflow: str, input: object = None) -> str:
        answer = await self.client.post(f"/workflows/{workflow}", json=input)
        assert answer.status_code == 202, answer.text
        run_id: str = answer.json()["run_id"]
        return run_id

    async def ended(self, workflow: str, input: object = None) -> dict[str, Any]:
        answer = await self.client.post(f"/workflows/{workflow}?wait=20s", json=input)
        assert answer.status_code == 200, answer.text
        run: dict[str, Any] = answer.json()
        return run

    async def run(self, run_id: str, include: str = "") -> dict[str, Any]:
        row: dict[str, Any] = (await self.client.get(f"/runs/{run_id}", params={"include": include})).json()
        return row

    async def settled(self, run_id: str, *, waits: bool = False) -> dict[str, Any]:
        await self.runtime.settled(run_id, timeout_s=20, waits=waits)
        return await self.run(run_id)

    async def asked(self, workflow: str, input: object = None) -> tuple[str, str]:
        """Starts a run, waits until it waits; its id and the address of its first hook."""
        run_id = await self.start(workflow, input)
        await self.runtime.settled(run_id, timeout_s=20, waits=True)
        hooks = (await self.client.get("/hooks", params={"run_id": run_id})).json()["hooks"]
        return run_id, hooks[0]["url"].removeprefix(self.url)


@asynccontextmanager
async def serving(folder: Path, **flags: object) -> AsyncGenerator[Served]:
    settings = load_settings(folder, flags={key.replace("__", "."): value for key, value in flags.items()})
    project = discover(folder)
    runtime = await Runtime.open(folder, settings, project=project, serve=True)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def announce(url: str) -> None:
        runtime.announce(url)
        ready.set_result(url)

    stop = asyncio.Event()
    task = asyncio.create_task(serve(runtime, on_ready=announce, stop=stop))
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        url = ready.result() if ready.done() else ""
        bearer = {"Authorization": f"Bearer {runtime.token}"}
        async with (
            httpx.AsyncClient(base_url=url, headers=bearer, timeout=30, trust_env=False) as client,
            httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as stranger,
        ):
            yield Served(url, runtime, client, stranger, stop)
    finally:
        stop.set()
        await task
        await runtime.close(drain_s=0)
        unload(project)
