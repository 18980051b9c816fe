"""`ksl sessions list`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.agents import looking
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json, emit_table
from ksl.views.agent_steps import price


@click.command(cls=Command, name="list")
@click.option("--agent", metavar="SLUG", help="Only sessions of this agent.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, help="At most so many. Default: 100.")
@pass_invocation
def command(invocation: Invocation, agent: str | None, limit: int) -> None:
    """Conversations with agents, those with the newest prompts first."""
    answer = asyncio.run(_ask(invocation, agent, limit))
    if invocation.prints_json:
        emit_json(answer)
        return
    rows = [
        (
            each["session_id"],
            each["agent"],
            each["status"],
            f"{each['usage']['turns']:,}",
            f"{each['usage']['input_tokens'] + each['usage']['output_tokens']:,}",
            "" if each["usage"]["usd"] is None else price(each["usage"]["usd"]),
            each["prompted_at"],
            each["run_id"],
        )
        for each in answer["sessions"]
    ]
    headings = ("SESSION", "AGENT", "STATUS", "TURNS", "TOKENS", "COST", "PROMPTED", "RUN")
    emit_table(headings, rows, none="No agent was prompted yet.")


async def _ask(invocation: Invocation, agent: str | None, limit: int) -> Json:
    async with looking(invocation) as looker:
        return await looker.sessions(agent=agent, limit=limit)
