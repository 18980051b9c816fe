"""`ksl triggers url SLUG`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.app import narrate
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json
from ksl.cli.triggers import looking
from ksl.errors import BadRequest


@click.command(cls=Command, name="url")
@click.argument("slug")
@pass_invocation
def command(invocation: Invocation, slug: str) -> None:
    """The address that a webhook's deliveries are posted to, as text also for programs."""
    shown = asyncio.run(_ask(invocation, slug))
    if "url" not in shown:
        raise BadRequest(f"{shown['kind']} source {slug} has no address: it fires by itself.")
    if shown["verify"] is None:
        narrate("Whoever reaches this address can start runs: the source verifies nothing.")
    if invocation.as_json:
        emit_json({"slug": slug, "url": shown["url"], "verify": shown["verify"]})
    else:
        click.echo(shown["url"])


async def _ask(invocation: Invocation, slug: str) -> Json:
    async with looking(invocation) as triggers:
        return await triggers.trigger(slug)
