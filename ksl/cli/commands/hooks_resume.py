"""`ksl hooks resume RUN|TOKEN`"""

from __future__ import annotations

import click

from ksl.cli.acting import act
from ksl.cli.arguments import JSON_SOURCE, WAIT_FOR
from ksl.cli.client import Client, hook_target
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json


@click.command(cls=Command, name="resume")
@click.argument("target", metavar="RUN|TOKEN")
@click.option("--step", metavar="ID", help="Which hook of the run, where more than one waits.")
@click.option("--data", type=JSON_SOURCE, default="null", help="The payload. Default: null.")
@WAIT_FOR
@pass_invocation
@click.pass_context
def command(
    ctx: click.Context, invocation: Invocation, target: str, step: str | None, data: bytes, wait_for: float
) -> None:
    """Answer a hook, by its run, its token or its link. One answer wins."""

    async def ask(client: Client) -> Json:
        return await client.resume(hook_target(target, step), data)

    act(ctx, invocation, ask, wait_for_s=wait_for, did="Answered")
