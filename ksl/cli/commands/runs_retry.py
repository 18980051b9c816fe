"""`ksl runs retry ID`"""

from __future__ import annotations

import click

from ksl.cli.acting import act
from ksl.cli.arguments import WAIT_FOR
from ksl.cli.client import Client
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json


@click.command(cls=Command, name="retry")
@click.argument("run_id", metavar="ID")
@WAIT_FOR
@pass_invocation
@click.pass_context
def command(ctx: click.Context, invocation: Invocation, run_id: str, wait_for: float) -> None:
    """Let a failed or held run go on; what it completed is kept."""

    async def ask(client: Client) -> Json:
        await client.retry(run_id)
        return {"run_id": run_id}

    act(ctx, invocation, ask, wait_for_s=wait_for)
