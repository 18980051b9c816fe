"""`ksl subscriptions add WORKFLOW USER`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_told
from ksl.cli.triggers import acting


@click.command(cls=Command, name="add")
@click.argument("workflow")
@click.argument("user")
@pass_invocation
def command(invocation: Invocation, workflow: str, user: str) -> None:
    """Give a user a run of the workflow at each firing. USER is a name of your own; runs have it as
    ctx.subscriber."""
    row = asyncio.run(_ask(invocation, workflow, user))
    emit_told(
        row,
        lambda: [
            f"{row['subscriber']} gets a run of {row['workflow']} at each firing ({row['subscription_id']})."
        ],
        prints_json=invocation.prints_json,
    )


async def _ask(invocation: Invocation, workflow: str, user: str) -> Json:
    async with acting(invocation) as triggers:
        return await triggers.subscribe(workflow, user)
