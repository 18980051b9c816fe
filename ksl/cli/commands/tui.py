"""`ksl tui`"""

from __future__ import annotations

import os
import sys

import click

from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.project import settings_of
from ksl.errors import NotAProject


@click.command(cls=Command, name="tui")
@click.option("--ascii", "ascii", is_flag=True, help="Draw with ASCII alone.")
@pass_invocation
def command(invocation: Invocation, *, ascii: bool) -> None:
    """Watch runs and answer hooks in the terminal.

    With no server running it shows the project's database, and changes nothing.
    """
    # Keys are read from stdin, and the screens drawn on stderr: stdout is for data.
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(
            "The screens need a terminal, and there is none here. `ksl runs list` and `ksl hooks list` print to a "
            "file or a pipe; `ksl open` shows the console in a browser."
        )
    from ksl.cli.background import Background
    from ksl.cli.doors import NamedDoor, ProjectDoors
    from ksl.tui.app import KslApp

    if invocation.url or os.environ.get("KSL_URL"):
        try:
            settings = settings_of(invocation)
        except NotAProject:  # a server elsewhere needs no project here
            KslApp(NamedDoor(invocation), ascii=ascii).run()
        else:
            door = NamedDoor(invocation)
            KslApp(door, ascii=ascii, folder=settings.folder, keys=settings.tui.keys).run()
    else:
        settings = settings_of(invocation)
        KslApp(
            ProjectDoors(settings),
            ascii=ascii,
            folder=settings.folder,
            keys=settings.tui.keys,
            starter=Background(settings),
        ).run()
