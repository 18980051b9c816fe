"""`ksl runs retry ID`, or by filter"""

from __future__ import annotations

import click

from ksl.cli.acting import act
from ksl.cli.arguments import WAIT_FOR
from ksl.cli.bulk import Chosen, act_on_many, chosen_runs
from ksl.cli.client import Client
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json


@click.command(cls=Command, name="retry")
@WAIT_FOR
@pass_invocation
@click.pass_context
@chosen_runs
def command(ctx: click.Context, invocation: Invocation, chosen: Chosen, wait_for: float) -> None:
    """Let a failed or held run go on, or every such run of a filter; what it completed is kept."""
    run_id = chosen.run_id
    if run_id is None:
        act_on_many(ctx, invocation, "retry", chosen)
        return

    async def ask(client: Client) -> Json:
        await client.retry(run_id)
        return {"run_id": run_id}

    act(ctx, invocation, ask, wait_for_s=wait_for, did="It may go on")
