"""`ksl triggers runs SLUG`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json, emit_table
from ksl.cli.triggers import looking

PAGE = 100


@click.command(cls=Command, name="runs")
@click.argument("slug")
@click.option(
    "--verdict",
    type=click.Choice(["started", "skipped", "rejected", "failed"]),
    help="Only firings that came to this.",
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N")
@pass_invocation
def command(invocation: Invocation, slug: str, verdict: str | None, limit: int) -> None:
    """The firings of a source, newest first: what came, what was decided, which runs were started."""
    answer = asyncio.run(_ask(invocation, slug, verdict, limit))
    if invocation.prints_json:
        emit_json(answer)
        return
    emit_table(
        ("FIRING", "AT", "VERDICT", "WHAT CAME OF IT"),
        [(each["firing_id"], each["at"], each["verdict"], _came(each)) for each in answer["firings"]],
        none=f"{slug} has not fired yet." if verdict is None else f"No firing of {slug} was {verdict}.",
        wraps=True,
    )


async def _ask(invocation: Invocation, slug: str, verdict: str | None, limit: int) -> Json:
    async with looking(invocation) as triggers:
        found: list[Json] = []
        cursor: str | None = None
        while True:
            page = await triggers.firings(
                slug, verdict=verdict, limit=min(PAGE, limit - len(found)), cursor=cursor
            )
            found += page["firings"]
            cursor = page["next_cursor"]
            if cursor is None or len(found) >= limit:
                return {"firings": found, "next_cursor": cursor}


def _came(each: Json) -> str:
    """The runs that were started, and why others were not."""
    run_ids: list[str] = each["run_ids"]
    runs = f"{run_ids[0]} and {len(run_ids) - 1} more" if len(run_ids) > 1 else "".join(run_ids)
    return "; ".join(part for part in (runs, each["reason"]) if part)
