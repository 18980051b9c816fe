"""`ksl runs release ID`, or by filter"""

from __future__ import annotations

import click

from ksl.cli.acting import act
from ksl.cli.arguments import WAIT_FOR
from ksl.cli.bulk import Chosen, act_on_many, chosen_runs
from ksl.cli.client import Client
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json


@click.command(cls=Command, name="release")
@click.option(
    "--accept-drift", is_flag=True, help="What is recorded stands, whatever inputs the code gives now."
)
@WAIT_FOR
@pass_invocation
@click.pass_context
@chosen_runs
def command(
    ctx: click.Context, invocation: Invocation, chosen: Chosen, accept_drift: bool, wait_for: float
) -> None:
    """Let a held run go on, or every held run of a filter."""
    run_id = chosen.run_id
    if run_id is None:
        act_on_many(ctx, invocation, "release", chosen, accept_drift=accept_drift)
        return

    async def ask(client: Client) -> Json:
        await client.release(run_id, accept_drift=accept_drift)
        return {"run_id": run_id}

    act(ctx, invocation, ask, wait_for_s=wait_for, did="Released")
