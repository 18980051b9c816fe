"""`ksl triggers show SLUG`"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import click

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_document
from ksl.cli.triggers import looking
from ksl.errors import BadRequest


@click.command(cls=Command, name="show")
@click.argument("slug")
@click.option(
    "--next",
    "number",
    type=click.IntRange(1, 1_000),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of the next times to print.",
)
@click.option(
    "--from",
    "since",
    metavar="T",
    help="After this moment: RFC 3339, or without an offset on the clocks of the source's zone. Default: now.",
)
@pass_invocation
def command(invocation: Invocation, slug: str, number: int, since: str | None) -> None:
    """A source: what it is, whom it starts, its next times and its newest firing.

    Times are printed on the clocks of the source's zone with their offset, and in UTC.
    """
    emit_document(
        asyncio.run(_ask(invocation, slug, number, _moment(since))), prints_json=invocation.prints_json
    )


async def _ask(invocation: Invocation, slug: str, number: int, since: datetime) -> Json:
    async with looking(invocation) as triggers:
        shown = await triggers.trigger(slug)
    if "schedule" in shown:
        from ksl.define.schedule import Schedule

        schedule = Schedule(shown["schedule"], shown["timezone"])
        after = since if since.tzinfo is not None else since.replace(tzinfo=schedule.zone)
        shown["next"] = [
            {"local": schedule.local(instant_s).isoformat(), "utc": _utc(instant_s)}
            for instant_s in schedule.upcoming(after.timestamp(), number)
        ]
    return shown


def _moment(text: str | None) -> datetime:
    """Without a zone where the text has no offset."""
    if text is None:
        return datetime.now(UTC)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(
            f'--from: "{text}" is not a moment like "2026-11-21T12:00:00Z", or "2026-11-21" on the clocks of the '
            "source's zone."
        ) from None


def _utc(instant_s: float) -> str:
    return datetime.fromtimestamp(instant_s, UTC).isoformat().replace("+00:00", "Z")
