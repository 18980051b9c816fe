"""`ksl workflows list`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.connect import reading
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json, emit_table


@click.command(cls=Command, name="list")
@pass_invocation
def command(invocation: Invocation) -> None:
    """The workflows of this project."""
    answer = asyncio.run(_ask(invocation))
    if invocation.prints_json:
        emit_json(answer)
    else:
        rows = [(flow["slug"], flow.get("description") or "") for flow in answer["workflows"]]
        emit_table(("WORKFLOW", "DESCRIPTION"), rows, none="This project has no workflow.")


async def _ask(invocation: Invocation) -> Json:
    async with reading(invocation) as reader:
        return await reader.workflows()
