"""`ksl db size`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json, emit_table
from ksl.cli.upkeep import upkeep
from ksl.define.duration import format_size


@click.command(cls=Command, name="size")
@pass_invocation
def command(invocation: Invocation) -> None:
    """How large the database is, and with what."""
    size = asyncio.run(_ask(invocation))
    if invocation.prints_json:
        emit_json(size)
        return
    free = format_size(size["free_bytes"])
    click.echo(f"database  {format_size(size['database_bytes'])}, of which free {free}")
    click.echo(f"WAL       {format_size(size['wal_bytes'])}")
    click.echo()
    emit_table(("TABLE", "ROWS"), [(table, f"{rows:,}") for table, rows in size["rows"].items()])
    if size["workflows"]:
        click.echo()
        found = [(each["workflow"], f"{each['runs']:,}", f"{each['events']:,}") for each in size["workflows"]]
        emit_table(("WORKFLOW", "RUNS", "EVENTS"), found)


async def _ask(invocation: Invocation) -> Json:
    async with upkeep(invocation) as keeper:
        return await keeper.size()
