"""`ksl runs list`"""

from __future__ import annotations

import asyncio
import time

import click

from ksl.cli.connect import reading
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json, emit_table, terminal_width
from ksl.cli.words import label, took
from ksl.views.now_at import now_at, state_of

PAGE = 100


@click.command(cls=Command, name="list")
@click.argument("query", required=False, metavar="[FILTER]")
@click.option("--workflow", metavar="S", help="Only runs of this workflow.")
@click.option("--status", metavar="S", help="Only runs in this state; several with commas.")
@click.option("--since", metavar="D", help='Created since: "2h" back from now, or an RFC 3339 moment.')
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N")
@pass_invocation
def command(
    invocation: Invocation,
    query: str | None,
    workflow: str | None,
    status: str | None,
    since: str | None,
    limit: int,
) -> None:
    """Runs, newest first.

    FILTER is one argument: 'state:failed,retrying took:>5s "o-118"'.
    """
    answer = asyncio.run(_ask(invocation, query, workflow, status, since, limit))
    now_ms = time.time_ns() // 1_000_000
    is_filtered = any(each is not None for each in (query, workflow, status, since))
    if invocation.prints_json:
        emit_json(answer)
        return
    runs: list[Json] = answer["runs"]
    rest = [(run["triggered_at"], took(run), now_at(run, now_ms)) for run in runs]
    first = [(run["run_id"], run["workflow"], label(state_of(run))) for run in runs]
    headings = ("RUN", "WORKFLOW", "STATUS")
    if _is_cut(first):
        # What became of a run is worth more than its workflow's name in full.
        headings = ("RUN", "STATUS", "WORKFLOW")
        first = [(run["run_id"], state_of(run), run["workflow"]) for run in runs]
    emit_table(
        (*headings, "TRIGGERED", "TOOK", "NOW AT"),
        [(*one, *other) for one, other in zip(first, rest, strict=True)],
        none="No run is like that." if is_filtered else "There are no runs yet.",
    )


def _is_cut(rows: list[tuple[str, str, str]]) -> bool:
    """Whether the terminal is too narrow for these columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + 2 * (len(widths) - 1) > terminal_width()


async def _ask(
    invocation: Invocation,
    query: str | None,
    workflow: str | None,
    status: str | None,
    since: str | None,
    limit: int,
) -> Json:
    async with reading(invocation) as reader:
        found: list[Json] = []
        cursor: str | None = None
        while True:
            page = await reader.runs(
                workflow=workflow,
                status=status,
                since=since,
                query=query,
                limit=min(PAGE, limit - len(found)),
                cursor=cursor,
            )
            found += page["runs"]
            cursor = page["next_cursor"]
            if cursor is None or len(found) >= limit:
                return {"runs": found, "next_cursor": cursor}
