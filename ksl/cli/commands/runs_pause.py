"""`ksl runs pause ID`, or by filter"""

from __future__ import annotations

import click

from ksl.cli.acting import act
from ksl.cli.bulk import Chosen, act_on_many, chosen_runs
from ksl.cli.client import Client
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json


@click.command(cls=Command, name="pause")
@click.option("--reason", default="", metavar="T", help="Kept in the run's history.")
@pass_invocation
@click.pass_context
@chosen_runs
def command(ctx: click.Context, invocation: Invocation, chosen: Chosen, reason: str) -> None:
    """Hold a run, or every run of a filter, until it is released: steps in flight end, no other begins."""
    run_id = chosen.run_id
    if run_id is None:
        act_on_many(ctx, invocation, "pause", chosen, reason=reason)
        return

    async def ask(client: Client) -> Json:
        await client.pause(run_id, reason=reason)
        return {"run_id": run_id}

    act(ctx, invocation, ask, wait_for_s=0.0, did="Paused", wanted="held")
