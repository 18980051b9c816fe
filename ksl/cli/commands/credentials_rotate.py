"""`ksl credentials rotate`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.credentials import keeper
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json
from ksl.cli.project import count
from ksl.records import Scope


@click.command(cls=Command, name="rotate")
@click.option(
    "--scope",
    type=click.Choice(["project", "organization"]),
    default="project",
    show_default=True,
    help="Whose key: the project's, with which users' are sealed too, or the organization's.",
)
@pass_invocation
def command(invocation: Invocation, scope: Scope) -> None:
    """Seal everything with a new key. Whatever dies meanwhile, every credential can be read."""
    answer = asyncio.run(_rotate(invocation, scope))
    if invocation.prints_json:
        emit_json(answer)
    else:
        click.echo(f"{count(answer['credentials'], 'credential')} sealed with the new key {answer['key_id']}")


async def _rotate(invocation: Invocation, scope: Scope) -> Json:
    async with keeper(invocation) as keeping:
        return await keeping.rotate(scope)
