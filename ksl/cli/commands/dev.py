"""`ksl dev`"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import click

from ksl.cli.app import narrate
from ksl.cli.arguments import DURATION
from ksl.cli.invocation import Invocation, LocalCommand, pass_invocation
from ksl.cli.project import settings_of
from ksl.define.duration import format_duration

if TYPE_CHECKING:
    from ksl.build.config import Settings


@click.command(cls=LocalCommand, name="dev")
@click.option("--host", metavar="H", help="Listen here.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="P", help="0 takes any free port.")
@click.option(
    "--drain", type=DURATION, default="10s", show_default=True, help="How long steps in flight may finish."
)
@click.option("--no-tui", is_flag=True, help="No screens: what there is to say goes to stderr.")
@click.option("--ascii", "ascii", is_flag=True, help="Draw the screens with ASCII alone.")
@pass_invocation
def command(
    invocation: Invocation, host: str | None, port: int | None, drain: float, *, no_tui: bool, ascii: bool
) -> None:
    """Serve the project, and serve it anew whenever its code changes.

    On a terminal, the screens of `ksl tui` are shown as well, with the server's log among them.

    Code that does not load leaves the server as it is. Unfinished runs go on with the new code; those that no
    longer fit it are held, and the server lists them.
    """
    settings = settings_of(invocation, {"server.host": host, "server.port": port})
    flags = ["--drain", format_duration(drain)]
    for name, value in (("--host", host), ("--port", port)):
        if value:
            flags += [name, str(value)]
    if no_tui or not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        asyncio.run(_develop(settings, tuple(flags)))
    else:
        from ksl.cli.on_screen import develop_on_screen

        asyncio.run(develop_on_screen(settings, tuple(flags), drain_s=drain, ascii=ascii))


async def _develop(settings: Settings, flags: tuple[str, ...]) -> None:
    from ksl.cli.development import Development

    stopped = asyncio.Event()
    development = Development(
        settings.folder, settings.data_folder, flags, any_port=settings.server.port == 0, tell=narrate
    )

    def stop() -> None:
        if stopped.is_set():
            development.hurry()
        stopped.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    narrate(f"Watching {settings.folder}. Ctrl-C stops; once more stops at once.")
    await development.run(stopped)
