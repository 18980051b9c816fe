"""`ksl triggers list`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json, emit_table
from ksl.cli.triggers import looking


@click.command(cls=Command, name="list")
@pass_invocation
def command(invocation: Invocation) -> None:
    """What starts runs by itself: webhooks, cron sources and polls, with what they start."""
    answer = asyncio.run(_ask(invocation))
    if invocation.prints_json:
        emit_json(answer)
        return
    emit_table(
        ("TRIGGER", "KIND", "WHEN", "STARTS", "STATE"),
        [
            (each["slug"], each["kind"], _when(each), _starts(each), _state(each))
            for each in answer["triggers"]
        ],
        none="This project has no source that starts runs by itself.",
    )


async def _ask(invocation: Invocation) -> Json:
    async with looking(invocation) as triggers:
        return await triggers.triggers()


def _when(each: Json) -> str:
    if "endpoint" in each:
        return f"POST /triggers/{each['endpoint']}"
    zone = each.get("timezone", "UTC")
    return f"{each['schedule']}{'' if zone == 'UTC' else f' {zone}'}"


def _starts(each: Json) -> str:
    return ", ".join(_target(attachment) for attachment in each["attachments"]) or "nothing"


def _target(attachment: Json) -> str:
    told: list[str] = []
    if attachment["subscribers"] is not None:
        told.append(f"{attachment['subscribers']} subscribed")
    if not attachment["enabled"]:
        told.append("disabled")
    return f"{attachment['workflow']} ({', '.join(told)})" if told else str(attachment["workflow"])


def _state(each: Json) -> str:
    return "enabled" if each["enabled"] else "disabled"
