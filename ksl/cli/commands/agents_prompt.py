"""`ksl agents prompt SLUG`"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import NoReturn

import click

from ksl.cli import exits
from ksl.cli.app import narrate
from ksl.cli.arguments import WAIT_FOR
from ksl.cli.client import ENDED, Client
from ksl.cli.commands.workflows_run import left_behind
from ksl.cli.connect import connected
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, compact, emit_document
from ksl.cli.progress import Progress
from ksl.cli.speaking import Between, Speaking
from ksl.cli.watch import Patience, how_it_ended, how_to_go_on, verdict, watch
from ksl.cli.words import step_of
from ksl.define.prompting import PREFIX
from ksl.errors import UnknownAgent, UnknownWorkflow

LAST_WORDS_S = 5.0  # between a run's end and the last of its events


@click.command(cls=Command, name="prompt")
@click.argument("slug")
@click.option("--message", required=True, metavar="T", help="What the agent is to do.")
@click.option("--session", metavar="ID", help="Go on with this session. Default: a new one.")
@WAIT_FOR
@pass_invocation
@click.pass_context
def command(
    ctx: click.Context, invocation: Invocation, slug: str, message: str, session: str | None, wait_for: float
) -> None:
    """Give an agent something to do, and stay until it answers or its run waits.

    On a terminal its words are written as they come. JSON has the answer's `text`, and the `session_id` to go on with.
    """
    asked = {"message": message, "session": session}
    patience = Patience(wait_for)
    if invocation.prints_json:
        shown, code = asyncio.run(_prompt(invocation, slug, asked, patience))
        emit_document(shown, prints_json=True)
    else:
        code = asyncio.run(_talk(invocation, slug, asked, patience))
    ctx.exit(code)


async def _prompt(invocation: Invocation, slug: str, asked: Json, patience: Patience) -> tuple[Json, int]:
    async with connected(invocation) as client:
        run_id = await _begin(invocation, client, slug, asked)
        return _ended(await watch(client, run_id, patience, progress=Progress()), client)


async def _talk(invocation: Invocation, slug: str, asked: Json, patience: Patience) -> int:
    async with connected(invocation) as client:
        run_id = await _begin(invocation, client, slug, asked)
        progress = Between()
        hearing = asyncio.create_task(_hear(client, run_id, slug, progress.speaking))
        try:
            run = await watch(client, run_id, patience, progress=progress)
            if run["status"] in ENDED:
                await asyncio.wait({hearing}, timeout=LAST_WORDS_S)
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
        shown, code = _ended(run, client)
        if code == exits.DONE:
            session = shown["output"]["session_id"]
            narrate(f"Run {run_id}. Go on with `ksl agents prompt {slug} --session {session} --message T`.")
        return code


async def _hear(client: Client, run_id: str, slug: str, speaking: Speaking) -> None:
    """The agent's own turns, with the calls that it makes between them."""
    own = f"{slug}#0/"
    async for item in client.follow(run_id, text=True):
        step = step_of(item)
        if not step.startswith(own) or "/" in step.removeprefix(own):
            continue
        if item["type"] == "text":
            if step.startswith(f"{own}turn#"):
                speaking.take(item)
        elif item["type"] == "step_completed":
            meta: Json = item.get("meta") or {}
            if meta.get("callee") == "agent-turn":
                speaking.finish(item["step"], "".join(_texts(item["data"]["parts"])))
            elif not step.startswith((f"{own}session#", f"{own}summary#")):
                speaking.line(f"[{step.removeprefix(own).rpartition('#')[0]} {compact(item['data'], 80)}]")


def _texts(parts: list[Json]) -> Iterator[str]:
    return (part["content"] for part in parts if part["part_kind"] == "text")


def _ended(run: Json, client: Client) -> tuple[Json, int]:
    shown, code = verdict(run)
    if code == exits.SUSPENDED:
        narrate(how_to_go_on(run, carries_on=client.carries_on))
    elif code == exits.FAILED:
        narrate(how_it_ended(run))
    return shown, code


async def _begin(invocation: Invocation, client: Client, slug: str, asked: Json) -> str:
    try:
        data = json.dumps(asked).encode()
        run_id = (await client.start(f"{PREFIX}{slug}", data, idempotency_key=None, detach=False)).run_id
    except UnknownWorkflow:
        _refuse(slug)
    invocation.on_interrupt = [left_behind(run_id, carries_on=client.carries_on)]
    return run_id


def _refuse(slug: str) -> NoReturn:
    raise UnknownAgent(
        f'there is no agent "{slug}". `ksl agents list` shows the agents of this project. Nothing was asked.'
    ) from None
