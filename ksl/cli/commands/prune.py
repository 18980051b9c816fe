"""`ksl prune`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.arguments import DURATION
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json
from ksl.cli.project import count
from ksl.cli.upkeep import upkeep


@click.command(cls=Command, name="prune")
@click.option(
    "--older-than",
    type=DURATION,
    metavar="D",
    help="How long ago they finished. Default: retention.finished_runs.",
)
@click.option("--dry-run", is_flag=True, help="Count them, delete nothing.")
@pass_invocation
def command(invocation: Invocation, older_than: float | None, dry_run: bool) -> None:
    """Delete runs that finished long ago, with their events and hooks, and give the space back."""
    done = asyncio.run(_prune(invocation, older_than, dry_run))
    if invocation.prints_json:
        emit_json(done)
        return
    would = "would be deleted" if dry_run else "deleted"
    click.echo(f"{count(done['runs'], 'run')} {would} (finished before {done['finished_before']})")


async def _prune(invocation: Invocation, older_than_s: float | None, dry_run: bool) -> Json:
    async with upkeep(invocation) as keeper:
        return await keeper.prune(older_than_s, dry_run=dry_run)
