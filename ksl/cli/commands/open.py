"""`ksl open`"""

from __future__ import annotations

import asyncio

import click

from ksl.cli.app import narrate
from ksl.cli.connect import remote, server_of
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json
from ksl.errors import ServerUnreachable


@click.command(cls=Command, name="open")
@click.option("--print", "only_print", is_flag=True, help="Print the link and open no browser.")
@pass_invocation
def command(invocation: Invocation, only_print: bool) -> None:
    """Open the console in a browser, logged in.

    The link logs in whoever opens it first, and is good for five minutes.
    """
    link = asyncio.run(_link(invocation))
    if invocation.prints_json:
        emit_json(link)
        return
    if only_print or not _opened(link["url"]):
        click.echo(link["url"])
        narrate("It works once, within five minutes.")
    else:
        narrate("Opened in the browser. `ksl open --print` prints a link instead.")


async def _link(invocation: Invocation) -> Json:
    server = server_of(invocation)
    if server is None:
        raise ServerUnreachable(
            "No server runs for this project, and the console is a part of it. Start `ksl serve` or `ksl dev`, "
            "or name a server with --url."
        )
    async with remote(*server) as client:
        return await client.login_link()


def _opened(url: str) -> bool:
    """Where there is a browser with windows: one in the terminal would take this command's place."""
    import os
    import sys
    import webbrowser

    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    return webbrowser.open(url)
