"""`ksl workflows run SLUG`"""

from __future__ import annotations

import asyncio

import click
from click.core import ParameterSource

from ksl.cli import exits
from ksl.cli.app import narrate
from ksl.cli.arguments import DURATION, JSON_SOURCE, WAIT_FOR
from ksl.cli.connect import connected
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_document
from ksl.cli.progress import Progress
from ksl.cli.watch import Patience, how_it_ended, how_it_goes_on, verdict, watch
from ksl.errors import InvalidInput, KslError


@click.command(cls=Command, name="run")
@click.argument("slug")
@click.option("--input", "input_", type=JSON_SOURCE, default="null", help="The run's input. Default: null.")
@click.option("--detach", is_flag=True, help="Do not stay: print the run's id once it is stored.")
@click.option("--idempotency-key", metavar="K", help="The same key and input again give the first run.")
@click.option("--timeout", type=DURATION, help="Stay no longer than this; the run itself is not ended.")
@WAIT_FOR
@pass_invocation
@click.pass_context
def command(
    ctx: click.Context,
    invocation: Invocation,
    slug: str,
    input_: bytes,
    detach: bool,
    idempotency_key: str | None,
    timeout: float | None,
    wait_for: float,
) -> None:
    """Start a run and stay with it until it ends or waits.

    A run that waits for a hook, or for longer than --wait-for, is left as it is: exit code 3, and a line on
    stderr says how it goes on.
    """
    try:
        shown, code = asyncio.run(
            _run(invocation, slug, input_, idempotency_key, Patience(wait_for, timeout), detach=detach)
        )
    except KslError as error:
        given = ctx.get_parameter_source("input_") is not ParameterSource.DEFAULT
        if error.code == InvalidInput.code and not given:
            narrate("No --input was given, so the input is null.")
        raise
    emit_document(shown, prints_json=invocation.prints_json)
    ctx.exit(code)


async def _run(
    invocation: Invocation, slug: str, input_: bytes, key: str | None, patience: Patience, *, detach: bool
) -> tuple[Json, int]:
    async with connected(invocation) as client:
        begun = await client.start(slug, input_, idempotency_key=key, detach=detach)
        if not begun.created:
            narrate(f"The idempotency key was used before: this is run {begun.run_id}, as it stands.")
        if detach:
            if not client.carries_on and begun.status == "queued":
                narrate(f"Run {begun.run_id} is stored. No server is running: `ksl serve` will run it.")
            return {"run_id": begun.run_id, "status": begun.status}, exits.DONE
        invocation.on_interrupt = [left_behind(begun.run_id, carries_on=client.carries_on)]
        run = await watch(client, begun.run_id, patience, progress=Progress())
        shown, code = verdict(run)
        if code == exits.SUSPENDED:
            narrate(await how_it_goes_on(client, run))
        elif code == exits.FAILED:
            narrate(how_it_ended(run))
        return shown, code


def left_behind(run_id: str, *, carries_on: bool) -> str:
    """For Ctrl-C: leaving is not cancelling."""
    if carries_on:
        return f"Left run {run_id} to the server. Follow it with `ksl runs tail {run_id}`."
    return (
        f"Left run {run_id} as it is: completed steps are stored, the run is not cancelled. "
        f"`ksl serve` carries on; `ksl runs cancel {run_id}` ends it."
    )
