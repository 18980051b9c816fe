"""`ksl runs cancel ID`, or by filter"""

from __future__ import annotations

import click

from ksl.cli.acting import act
from ksl.cli.arguments import WAIT_FOR
from ksl.cli.bulk import Chosen, act_on_many, chosen_runs
from ksl.cli.client import Client
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json


@click.command(cls=Command, name="cancel")
@click.option("--reason", default="", metavar="T", help="Kept in the run's history.")
@click.option("--force", is_flag=True, help="Skip the run's clean-up.")
@WAIT_FOR
@pass_invocation
@click.pass_context
@chosen_runs
def command(
    ctx: click.Context, invocation: Invocation, chosen: Chosen, reason: str, force: bool, wait_for: float
) -> None:
    """Ask a run to stop, or every run of a filter; its clean-up still runs."""
    run_id = chosen.run_id
    if run_id is None:
        act_on_many(ctx, invocation, "cancel", chosen, reason=reason, force=force)
        return

    async def ask(client: Client) -> Json:
        await client.cancel(run_id, reason=reason, force=force)
        return {"run_id": run_id}

    act(ctx, invocation, ask, wait_for_s=wait_for, did="Asked to stop", wanted="cancelled")
