"""`ksl credentials remove`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.credentials import SCOPE, USER, keeper
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json
from ksl.records import Scope


@click.command(cls=Command, name="remove")
@click.argument("name")
@SCOPE
@USER
@pass_invocation
def command(invocation: Invocation, name: str, scope: Scope, user: str | None) -> None:
    """Delete a credential from one scope. Needs no key, so it works when that is lost."""
    answer = asyncio.run(_remove(invocation, name, scope, user))
    if invocation.prints_json:
        emit_json(answer)
    else:
        click.echo(f"{name} is removed from scope {scope}" + (f", user {user}" if user else ""))


async def _remove(invocation: Invocation, name: str, scope: Scope, user: str | None) -> Json:
    async with keeper(invocation, opens=False) as keeping:
        return await keeping.remove(name, scope, user)
