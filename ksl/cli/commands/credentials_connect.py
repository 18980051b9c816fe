"""`ksl credentials connect`"""

from __future__ import annotations

import asyncio
import webbrowser

import click

from ksl.cli.app import narrate
from ksl.cli.arguments import DURATION
from ksl.cli.credentials import SCOPE, USER, keeper, reading_vault
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json
from ksl.cli.redirect import listening
from ksl.records import Scope
from ksl.vault.oauth import Flow


@click.command(cls=Command, name="connect")
@click.argument("name")
@SCOPE
@USER
@click.option("--no-browser", is_flag=True, help="Only print the address to open.")
@click.option(
    "--timeout", type=DURATION, default="5m", show_default=True, help="How long to wait for the browser."
)
@pass_invocation
def command(
    invocation: Invocation, name: str, scope: Scope, user: str | None, no_browser: bool, timeout: float
) -> None:
    """Obtain a credential with OAuth 2: somebody allows it in a browser of this machine."""
    answer = asyncio.run(_connect(invocation, name, scope, user, no_browser=no_browser, timeout_s=timeout))
    if invocation.prints_json:
        emit_json(answer)
    else:
        where = f"for user {user}" if user else f"in scope {scope}"
        click.echo(f"{name} is connected {where}: {', '.join(answer['fields'])} (key {answer['key_id']})")


async def _connect(
    invocation: Invocation, name: str, scope: Scope, user: str | None, *, no_browser: bool, timeout_s: float
) -> Json:
    async with reading_vault(invocation) as vault:
        credential = vault.definition(name)
        client = await vault.client_of(name, scope=scope, user=user)
        port = credential.oauth.redirect_port if credential.oauth is not None else 0
        async with listening(port) as redirect:
            flow = Flow(credential, client, redirect_url=redirect.url)
            narrate(f"Open this address and allow it, within {timeout_s:g} s:\n\n  {flow.url}\n")
            if not no_browser:
                await asyncio.to_thread(_open, flow.url)
            tokens = await flow.finish(await redirect.query(timeout_s))
    async with keeper(invocation) as keeping:
        answer = await keeping.set(name, {**flow.client_fields, **tokens}, scope, user)
    answer.pop("warnings", None)
    return answer


def _open(url: str) -> None:
    """A machine without a browser has nothing to open; the address is printed all the same."""
    try:
        webbrowser.open(url)
    except webbrowser.Error:
        return
