"""`ksl credentials set`"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from ksl.cli.app import narrate
from ksl.cli.credentials import SCOPE, USER, keeper
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json
from ksl.records import Scope


@click.command(cls=Command, name="set")
@click.argument("name")
@click.option(
    "--set",
    "given",
    multiple=True,
    required=True,
    metavar="FIELD=VALUE",
    help="VALUE as it is, @env:VARIABLE, @FILE, or - for stdin. Fields that are left out stay as they were.",
)
@SCOPE
@USER
@pass_invocation
def command(
    invocation: Invocation, name: str, given: tuple[str, ...], scope: Scope, user: str | None
) -> None:
    """Set fields of a credential: checked against its model, sealed, stored."""
    fields, typed = _fields(given)
    answer = asyncio.run(_set(invocation, name, fields, scope, user))
    for warning in answer.pop("warnings", []):
        narrate(f"Note: {warning}.")
    if shown := [field for field in typed if field in answer.get("secret", [])]:
        narrate(
            f"Note: {', '.join(shown)} was given on the command line, where your shell's history and other users' `ps` "
            "can see it. Prefer @env:VARIABLE, @FILE or - (stdin); consider changing the secret."
        )
    if invocation.prints_json:
        emit_json(answer)
    else:
        where = f"for user {user}" if user else f"in scope {scope}"
        click.echo(f"{name} is set {where}: {', '.join(answer['fields'])} (key {answer['key_id']})")


async def _set(
    invocation: Invocation, name: str, fields: dict[str, str], scope: Scope, user: str | None
) -> Json:
    async with keeper(invocation) as keeping:
        return await keeping.set(name, fields, scope, user)


def _fields(given: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """The values, and the names of those that stood on the command line."""
    fields: dict[str, str] = {}
    typed: list[str] = []
    for each in given:
        field, is_given, source = each.partition("=")
        if not is_given or not field:
            raise click.BadParameter(f"{field!r} is not FIELD=VALUE.", param_hint="--set")
        if field in fields:
            raise click.BadParameter(f"{field} is given twice.", param_hint="--set")
        if source == "-" and "-" in (other.partition("=")[2] for other in given if other is not each):
            raise click.BadParameter("stdin can be read for one field only.", param_hint="--set")
        fields[field] = _value(field, source)
        if source != "-" and not source.startswith("@"):
            typed.append(field)
    return fields, typed


def _value(field: str, source: str) -> str:
    if source == "-":
        return _line(sys.stdin.buffer.read(), f"{field} from stdin")
    if source.startswith("@env:"):
        variable = source.removeprefix("@env:")
        if variable not in os.environ:
            raise click.BadParameter(f"{field}: the variable {variable} is not set.", param_hint="--set")
        return os.environ[variable]
    if source.startswith("@"):
        try:
            return _line(Path(source[1:]).expanduser().read_bytes(), f"{field} from {source[1:]}")
        except OSError as error:
            raise click.BadParameter(
                f"{field}: cannot read {source[1:]}: {error.strerror}.", param_hint="--set"
            ) from None
    return source


def _line(data: bytes, what: str) -> str:
    """Without the newline that editors and `echo` put at the end."""
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.BadParameter(f"{what} is not text in UTF-8.", param_hint="--set") from None
