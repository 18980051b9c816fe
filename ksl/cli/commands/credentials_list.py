"""`ksl credentials list`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.credentials import list_all
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import emit_json, emit_table


@click.command(cls=Command, name="list")
@pass_invocation
def command(invocation: Invocation) -> None:
    """Which credentials are set, where, since when and under which key. Never a value."""
    answer = asyncio.run(list_all(invocation))
    if invocation.prints_json:
        emit_json(answer)
        return
    rows = [
        (each["name"], _where(each), ", ".join(each["fields"]), each["set_at"], each["key_id"])
        for each in answer["credentials"]
    ]
    rows += [(name, "not set", "", "", "") for name in answer["not_set"]]
    none = "No credential is set, and the project's code names none."
    emit_table(("NAME", "SCOPE", "FIELDS", "SET", "KEY"), rows, none=none)


def _where(each: dict[str, str]) -> str:
    return f"user {each['user']}" if each["scope"] == "user" else each["scope"]
