"""`ksl hooks list`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.connect import reading
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json, emit_table


@click.command(cls=Command, name="list")
@click.option("--run", "run_id", metavar="ID", help="Only hooks of this run.")
@pass_invocation
def command(invocation: Invocation, run_id: str | None) -> None:
    """Hooks that wait for an answer."""
    answer = asyncio.run(_ask(invocation, run_id))
    if invocation.prints_json:
        emit_json(answer)
        return
    emit_table(
        ("RUN", "STEP", "WORKFLOW", "TITLE", "EXPIRES"),
        [
            (
                hook["run_id"],
                str(hook["step"]).removeprefix("step:"),
                hook["workflow"],
                hook.get("title") or hook.get("name") or "",
                hook.get("expires_at") or "never",
            )
            for hook in answer["hooks"]
        ],
        none="No run waits for an answer.",
    )


async def _ask(invocation: Invocation, run_id: str | None) -> Json:
    async with reading(invocation) as reader:
        return await reader.hooks(run_id=run_id)
