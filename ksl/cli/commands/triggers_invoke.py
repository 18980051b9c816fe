"""`ksl triggers invoke SLUG`"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import click

from ksl.cli import exits
from ksl.cli.app import narrate
from ksl.cli.arguments import JSON_SOURCE
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, compact, emit_told
from ksl.cli.triggers import acting

SHOWN = 2_000  # characters of the payload


@click.command(cls=Command, name="invoke")
@click.argument("slug")
@click.option(
    "--input", "payload", type=JSON_SOURCE, help="The payload, of a webhook. Others have their own."
)
@pass_invocation
@click.pass_context
def command(ctx: click.Context, invocation: Invocation, slug: str, payload: bytes | None) -> None:
    """Fire a source now, disabled or not.

    The payload is shown first: what --input says, or a cron source's own; a poll goes and looks for it.
    """
    firing = asyncio.run(_ask(invocation, slug, payload))
    emit_told(firing, lambda: _told(firing), prints_json=invocation.prints_json)
    ctx.exit(exits.FAILED if firing["verdict"] == "failed" else exits.DONE)


def _told(firing: Json) -> Iterator[str]:
    why = f", {firing['reason']}" if firing["reason"] else ""
    yield f"Fired {firing['source']}: {firing['verdict']}{why}."
    for run in firing["runs"]:
        yield f"{run['run_id']} of {run['workflow']}{_for(run)}"
    for error in firing["errors"]:
        yield f"{error['workflow'] or firing['source']}{_for(error)}: {error['type']}: {error['message']}"


def _for(started: Json) -> str:
    return f" for {started['subscriber']}" if started["subscriber"] else ""


async def _ask(invocation: Invocation, slug: str, payload: bytes | None) -> Json:
    async with acting(invocation) as triggers:
        shown = await triggers.trigger(slug)
        match shown["kind"]:
            case "webhook":
                payload = payload or b"null"
                narrate(f"Payload: {payload.decode('utf-8', 'backslashreplace')[:SHOWN]}")
            case "cron":
                narrate(f"Payload: {compact(shown['payload'], SHOWN)}")
            case _:
                narrate(f"Polling {slug}: its payload is what it finds.")
        firing = await triggers.invoke(slug, payload)
        if firing["run_ids"] and not triggers.carries_on:
            narrate("No server runs: the runs are stored and begin with `ksl serve`.")
        return firing
