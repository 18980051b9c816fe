"""`ksl triggers disable SLUG`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_told
from ksl.cli.triggers import acting


@click.command(cls=Command, name="disable")
@click.argument("slug")
@click.option("--workflow", metavar="W", help="Only the attachment to this workflow.")
@pass_invocation
def command(invocation: Invocation, slug: str, workflow: str | None) -> None:
    """Keep a source, or one of its attachments, from firing, also over restarts and edits."""
    switched = asyncio.run(_ask(invocation, slug, workflow))
    what = slug if workflow is None else f"{slug}, for {workflow},"
    emit_told(switched, lambda: [f"{what} is disabled."], prints_json=invocation.prints_json)


async def _ask(invocation: Invocation, slug: str, workflow: str | None) -> Json:
    async with acting(invocation) as triggers:
        return await triggers.switch(slug, workflow, enabled=False)
