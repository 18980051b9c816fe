"""`ksl explain CODE`"""

from __future__ import annotations

import re

import click

from ksl.cli.explained import page_of
from ksl.cli.invocation import Invocation, LocalCommand, pass_invocation
from ksl.cli.output import emit_json, emit_text

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]*)\)")


@click.command(cls=LocalCommand, name="explain")
@click.argument("code")
@pass_invocation
def command(invocation: Invocation, code: str) -> None:
    """Say why an error or a build rule comes up, what state things are in, and what to do.

    CODE is the one that an error begins with, like KSL402.
    """
    name = code.upper() if code.upper().startswith("KSL") else f"KSL{code}"
    page = page_of(name)
    if invocation.prints_json:
        title = page.partition("\n")[0].removeprefix(f"# {name} ")
        emit_json({"code": name, "title": title, "page": page})
    else:
        # A link to another page leads nowhere from a terminal.
        emit_text(_LINK.sub(r"\1", page).rstrip())
