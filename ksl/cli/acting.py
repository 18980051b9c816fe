"""Commands that change a run: ask, stay with it where no server carries on, print it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import click

from ksl.cli import exits
from ksl.cli.app import narrate
from ksl.cli.client import Client
from ksl.cli.connect import connected
from ksl.cli.invocation import Invocation
from ksl.cli.output import Json, emit_told
from ksl.cli.progress import Progress
from ksl.cli.watch import Patience, how_it_goes_on, verdict, watch
from ksl.cli.words import standing


def act(
    ctx: click.Context, invocation: Invocation, ask: Callable[[Client], Awaitable[Json]], *, wait_for_s: float,
    did: str, wanted: str = "succeeded",
) -> None:  # fmt: skip
    """`ask` does the thing and returns an answer with the `run_id`, where it is known. Ends the command.

    `did` says in a few words that it is done, as in "Answered".

    With a server, done means stored: exit 0. Without one the run is this command's to advance, and the exit
    code says what became of it; a run that is in the status `wanted` is as asked, and the command done.
    """
    run, code = asyncio.run(_act(invocation, ask, Patience(wait_for_s), wanted))
    told = f"{did}."
    emit_told(
        run,
        lambda: [f"{told} {standing(run)}" if "run_id" in run else told],
        prints_json=invocation.prints_json,
    )
    ctx.exit(code)


async def _act(
    invocation: Invocation, ask: Callable[[Client], Awaitable[Json]], patience: Patience, wanted: str
) -> tuple[Json, int]:
    async with connected(invocation) as client:
        answer = await ask(client)
        run_id = answer.get("run_id")
        if run_id is None:
            return answer, exits.DONE
        if client.carries_on:
            return await client.run(run_id), exits.DONE
        invocation.on_interrupt = [f"Left run {run_id} as it is; `ksl serve` carries on."]
        run = await watch(client, run_id, patience, progress=Progress())
        code = exits.DONE if run["status"] == wanted else verdict(run)[1]
        if code == exits.SUSPENDED:
            narrate(await how_it_goes_on(client, run))
        return run, code
