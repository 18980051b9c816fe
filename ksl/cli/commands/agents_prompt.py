"""`ksl agents prompt SLUG`"""

from __future__ import annotations

import asyncio
import json
from typing import NoReturn

import click

from ksl.cli import exits
from ksl.cli.app import narrate
from ksl.cli.arguments import WAIT_FOR
from ksl.cli.client import Client
from ksl.cli.commands.workflows_run import left_behind
from ksl.cli.connect import connected
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_document
from ksl.cli.progress import Progress
from ksl.cli.watch import Patience, how_it_ended, how_to_go_on, verdict, watch
from ksl.define.prompting import PREFIX
from ksl.errors import UnknownAgent, UnknownWorkflow


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

    The output has the answer's `text` and the `session_id` to go on with.
    """
    asked = {"message": message, "session": session}
    shown, code = asyncio.run(_prompt(invocation, slug, asked, Patience(wait_for)))
    emit_document(shown, prints_json=invocation.prints_json)
    ctx.exit(code)


async def _prompt(invocation: Invocation, slug: str, asked: Json, patience: Patience) -> tuple[Json, int]:
    async with connected(invocation) as client:
        run_id = await _begin(client, slug, asked)
        invocation.on_interrupt = [left_behind(run_id, carries_on=client.carries_on)]
        run = await watch(client, run_id, patience, progress=Progress())
        shown, code = verdict(run)
        if code == exits.SUSPENDED:
            narrate(how_to_go_on(run, carries_on=client.carries_on))
        elif code == exits.FAILED:
            narrate(how_it_ended(run))
        return shown, code


async def _begin(client: Client, slug: str, asked: Json) -> str:
    try:
        data = json.dumps(asked).encode()
        return (await client.start(f"{PREFIX}{slug}", data, idempotency_key=None, detach=False)).run_id
    except UnknownWorkflow:
        _refuse(slug)


def _refuse(slug: str) -> NoReturn:
    raise UnknownAgent(
        f'there is no agent "{slug}". `ksl agents list` shows the agents of this project. Nothing was asked.'
    ) from None
