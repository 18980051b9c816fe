"""`ksl runs wake ID`"""

from __future__ import annotations

import click

from ksl.cli.acting import act
from ksl.cli.arguments import WAIT_FOR
from ksl.cli.client import Client
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json


@click.command(cls=Command, name="wake")
@click.argument("run_id", metavar="ID")
@click.option("--step", metavar="ID", help="Which sleep of the run, where more than one waits.")
@WAIT_FOR
@pass_invocation
@click.pass_context
def command(
    ctx: click.Context, invocation: Invocation, run_id: str, step: str | None, wait_for: float
) -> None:
    """End a sleep of a run now, as if its moment had come."""

    async def ask(client: Client) -> Json:
        await client.wake(run_id, step)
        return {"run_id": run_id}

    act(ctx, invocation, ask, wait_for_s=wait_for, did="Woken")
