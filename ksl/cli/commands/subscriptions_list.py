"""`ksl subscriptions list`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json, emit_table
from ksl.cli.triggers import looking


@click.command(cls=Command, name="list")
@click.option("--workflow", metavar="W", help="Only those of this workflow.")
@pass_invocation
def command(invocation: Invocation, workflow: str | None) -> None:
    """Who is subscribed to what, in the order in which it was done."""
    answer = asyncio.run(_ask(invocation, workflow))
    if invocation.prints_json:
        emit_json(answer)
        return
    emit_table(
        ("SUBSCRIPTION", "WORKFLOW", "USER", "STATE", "SINCE"),
        [
            (
                each["subscription_id"],
                each["workflow"],
                each["subscriber"],
                "enabled" if each["enabled"] else "disabled",
                each["created_at"],
            )
            for each in answer["subscriptions"]
        ],
        none="Nobody is subscribed.",
    )


async def _ask(invocation: Invocation, workflow: str | None) -> Json:
    async with looking(invocation) as triggers:
        return await triggers.subscriptions(workflow)
