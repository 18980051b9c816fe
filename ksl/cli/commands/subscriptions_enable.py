"""`ksl subscriptions enable ID`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_told
from ksl.cli.triggers import acting


@click.command(cls=Command, name="enable")
@click.argument("subscription_id", metavar="ID")
@pass_invocation
def command(invocation: Invocation, subscription_id: str) -> None:
    """Let a subscriber get runs again."""
    row = asyncio.run(_ask(invocation, subscription_id))
    emit_told(
        row,
        lambda: [f"{row['subscriber']} gets runs of {row['workflow']} again ({row['subscription_id']})."],
        prints_json=invocation.prints_json,
    )


async def _ask(invocation: Invocation, subscription_id: str) -> Json:
    async with acting(invocation) as triggers:
        return await triggers.set_enabled(subscription_id, True)
