"""`ksl triggers show SLUG`"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, compact, emit_told
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
    shown = asyncio.run(_ask(invocation, slug, number, _moment(since)))
    emit_told(shown, lambda: _told(shown), prints_json=invocation.prints_json)


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


def _told(shown: Json) -> Iterator[str]:
    yield f"trigger   {shown['slug']}, a {shown['kind']}, {'enabled' if shown['enabled'] else 'disabled'}"
    if shown["description"]:
        yield f"          {shown['description']}"
    if "url" in shown:
        yield f"address   POST {shown['url']}"
        yield f"verified  by {shown['verify'] or 'nothing: whoever reaches the address can start runs'}"
    if "schedule" in shown:
        yield f"when      {shown['schedule']} {shown['timezone']}"
    if "misfire" in shown:
        yield f"missed    {shown['misfire']}, overlap {shown['overlap']}"
    for each in shown["attachments"]:
        disabled = "" if each["enabled"] else " (disabled)"
        subscribed = "" if each["subscribers"] is None else f" ({each['subscribers']} subscribed)"
        yield f"starts    {each['workflow']}{subscribed}{disabled}"
    for place, moment in enumerate(shown.get("next", ())):
        yield f"{'next' if not place else '':<9} {moment['local']}  {moment['utc']}"
    if shown["state"] is not None:
        yield f"state     {compact(shown['state'], 400)}"
    if shown.get("error"):
        again = f", next at {shown['retry_at']}" if shown.get("retry_at") else ""
        yield f"failing   {shown['failures']} times: {compact(shown['error'], 400)}{again}"
    if newest := shown["last_firing"]:
        came = ", ".join(newest["run_ids"][:5]) or newest["reason"] or ""
        yield f"newest    {newest['at']} {newest['verdict']} {came}".rstrip()
    if shown["refused"]:
        yield f"refused   {shown['refused']} deliveries"


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
