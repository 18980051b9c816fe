"""`ksl runs tail ID`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli import exits
from ksl.cli.app import narrate
from ksl.cli.client import ENDED
from ksl.cli.connect import reading
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import emit_json
from ksl.cli.speaking import Speaking
from ksl.cli.streams import read_to_where_it_is_left
from ksl.cli.watch import how_to_go_on
from ksl.cli.words import event_line, step_of


@click.command(cls=Command, name="tail")
@click.argument("run_id", metavar="ID")
@pass_invocation
@click.pass_context
def command(ctx: click.Context, invocation: Invocation, run_id: str) -> None:
    """A run's events, old and new, until it ends, and what models say meanwhile. JSON lines with --json.

    With no server running the stored events are all there will be: exit code 3 if the run has not ended.
    """
    ctx.exit(asyncio.run(_tail(invocation, run_id)))


async def _tail(invocation: Invocation, run_id: str) -> int:
    async with reading(invocation) as reader:
        speaking = Speaking()
        async with read_to_where_it_is_left(reader.follow(run_id, text=True)) as items:
            async for item in items:
                if invocation.prints_json:
                    emit_json(item)
                elif item["type"] == "text":
                    speaking.take(item, label=f"  {step_of(item)}: ")
                else:
                    speaking.line(event_line(item))
        run = await reader.run(run_id)
        if run["status"] in ENDED:
            return exits.DONE
        narrate(how_to_go_on(run, carries_on=reader.carries_on))
        return exits.SUSPENDED
