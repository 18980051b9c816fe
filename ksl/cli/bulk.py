"""Runs by filter instead of by id: how many are they, is that what is meant, and then all of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from ksl.cli import exits
from ksl.cli.app import narrate
from ksl.cli.client import Which
from ksl.cli.connect import connected, reading
from ksl.cli.invocation import Invocation
from ksl.cli.output import Json, emit_told
from ksl.cli.project import count

if TYPE_CHECKING:
    from ksl.engine.many import Verb

_LISTED_MAX = 20
_GO_ON = {"retry", "release", "cancel"}  # after these a run has something to do


@dataclass(frozen=True)
class Chosen:
    """One run by its id, or those of a filter."""

    run_id: str | None
    which: Which
    yes: bool


def chosen_runs(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument ID and the flags of a filter, as one value `chosen`."""

    def with_choice(
        *args: Any, run_id: str | None, workflow: str | None, status: str | None, since: str | None,
        yes: bool, **options: Any,
    ) -> Any:  # fmt: skip
        which = Which(workflow, status, since)
        filtered = which != Which(None, None, None)
        if (run_id is None) != filtered:
            raise click.UsageError(
                "Give the ID of a run or a filter, not both."
                if filtered
                else "Which runs? Give the ID of one, or a filter: --workflow, --status, --since."
            )
        return command(*args, chosen=Chosen(run_id, which, yes), **options)

    for option in (
        click.option("--yes", is_flag=True, help="With a filter: do not ask."),
        click.option("--since", metavar="D", help="All created since: a stretch of time, or a moment."),
        click.option("--status", metavar="S", help="All in this state; several with commas."),
        click.option("--workflow", metavar="S", help="All of this workflow."),
        click.argument("run_id", metavar="[ID]", required=False),
    ):
        with_choice = option(with_choice)
    with_choice.__doc__ = command.__doc__
    return with_choice


def act_on_many(
    ctx: click.Context, invocation: Invocation, verb: Verb, chosen: Chosen, **options: object
) -> None:
    """Counts, asks, changes, prints what was done. Ends the command; exit 1 where a run could not be changed."""
    found = asyncio.run(_matching(invocation, verb, chosen.which))
    number: int = found["matched"]
    if number == 0:
        narrate(f"No run matches that has something to {verb}.")
        _end(ctx, invocation, verb, {"matched": 0, "changed": 0, "errors": []})
    if not chosen.yes:
        if not somebody_is_there():
            raise click.UsageError(
                f"{count(number, 'run')} match and nobody is at a terminal to be asked. Nothing was done. "
                f"Add --yes to {verb} them."
            )
        if not click.confirm(f"{verb.capitalize()} {count(number, 'run')}?", err=True):
            narrate("Nothing was done.")
            ctx.exit(exits.FAILED)
    # What a stretch of time meant when it was counted, it means for every page.
    which = replace(chosen.which, since=found["since"])
    answer = asyncio.run(_change(invocation, verb, which, dict(options), number))
    _end(ctx, invocation, verb, answer)


def somebody_is_there() -> bool:
    return sys.stdin.isatty()


def _end(ctx: click.Context, invocation: Invocation, verb: Verb, answer: Json) -> None:
    errors: list[Json] = answer["errors"]
    for error in errors[:_LISTED_MAX]:
        narrate(f"{error['code']} {error['detail']}")
    if len(errors) > _LISTED_MAX:
        narrate(f"... and {count(len(errors) - _LISTED_MAX, 'run')} more that could not be changed.")
    told = f"{verb.capitalize()}: {answer['changed']} of {count(answer['matched'], 'run')}."
    emit_told(answer, lambda: [told], prints_json=invocation.prints_json)
    ctx.exit(exits.FAILED if errors else exits.DONE)


async def _matching(invocation: Invocation, verb: Verb, which: Which) -> Json:
    async with reading(invocation) as reader:
        return await reader.matching(verb, which)


async def _change(invocation: Invocation, verb: Verb, which: Which, options: Json, number: int) -> Json:
    changed, errors, left = 0, list[Json](), number
    cursor: str | None = None
    # Without a server nothing of them begins here: a command is no place to advance ten thousand runs.
    async with connected(invocation, advances=False) as client:
        while True:
            page = await client.change_many(verb, which, options, confirm=left, cursor=cursor)
            changed += page["changed"]
            errors += page["errors"]
            left -= page["changed"] + len(page["errors"])
            invocation.on_interrupt = [
                f"{count(changed, 'run')} of {number} were changed, the others were not."
            ]
            cursor = page["next_cursor"]
            if cursor is None or left <= 0:
                break
        if not client.carries_on and verb in _GO_ON and changed:
            narrate("No server is running: `ksl serve` carries on with them.")
    return {"matched": number, "changed": changed, "errors": errors}
