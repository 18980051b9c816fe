"""`ksl hooks reject RUN|TOKEN`"""

from __future__ import annotations

import click

from ksl.cli.acting import act
from ksl.cli.arguments import WAIT_FOR
from ksl.cli.client import Client, hook_target
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json


@click.command(cls=Command, name="reject")
@click.argument("target", metavar="RUN|TOKEN")
@click.option("--step", metavar="ID", help="Which hook of the run, where more than one waits.")
@click.option("--reason", default="", metavar="T", help="What the run's HookRejected says.")
@WAIT_FOR
@pass_invocation
@click.pass_context
def command(
    ctx: click.Context, invocation: Invocation, target: str, step: str | None, reason: str, wait_for: float
) -> None:
    """Refuse a hook; the run gets HookRejected."""

    async def ask(client: Client) -> Json:
        return await client.reject(hook_target(target, step), reason)

    act(ctx, invocation, ask, wait_for_s=wait_for, did="Rejected")
