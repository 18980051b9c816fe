"""`ksl subscriptions remove ID`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_told
from ksl.cli.triggers import acting


@click.command(cls=Command, name="remove")
@click.argument("subscription_id", metavar="ID")
@pass_invocation
def command(invocation: Invocation, subscription_id: str) -> None:
    """Delete a subscription. Runs that were started for it go on. Prints it as it was."""
    row = asyncio.run(_ask(invocation, subscription_id))
    emit_told(
        row,
        lambda: [
            f"{row['subscriber']} is not subscribed to {row['workflow']} any more ({row['subscription_id']})."
        ],
        prints_json=invocation.prints_json,
    )


async def _ask(invocation: Invocation, subscription_id: str) -> Json:
    async with acting(invocation) as triggers:
        return await triggers.unsubscribe(subscription_id)
