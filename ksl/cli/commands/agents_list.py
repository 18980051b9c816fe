"""`ksl agents list`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.agents import looking
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json, emit_table


@click.command(cls=Command, name="list")
@pass_invocation
def command(invocation: Invocation) -> None:
    """The agents of this project, with the tools that their code gives them."""
    answer = asyncio.run(_ask(invocation))
    if invocation.prints_json:
        emit_json(answer)
        return
    rows = [
        (each["slug"], each.get("model") or "(models.default)", ", ".join(each.get("tools", ())))
        for each in answer["agents"]
    ]
    emit_table(("SLUG", "MODEL", "TOOLS"), rows, none="This project defines no agent.")


async def _ask(invocation: Invocation) -> Json:
    async with looking(invocation) as looker:
        return await looker.agents()
