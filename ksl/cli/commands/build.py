"""`ksl build`"""

from __future__ import annotations

import click

from ksl.cli import exits
from ksl.cli.apart.parent import IMPORT_LIMIT, done_apart
from ksl.cli.apart.tasks import build
from ksl.cli.app import narrate
from ksl.cli.arguments import DURATION
from ksl.cli.building import Built, emit
from ksl.cli.invocation import Invocation, LocalCommand, pass_invocation
from ksl.cli.project import discovered, settings_of

FORMATS = ("text", "json", "github", "sarif")


@click.command(cls=LocalCommand, name="build")
@click.option("--runs", is_flag=True, help="Also say which unfinished runs still fit the code.")
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option(
    "--format",
    "wanted",
    type=click.Choice(FORMATS),
    help="How to print; by default text on a terminal, else JSON.",
)
@click.option(
    "--import-timeout",
    type=DURATION,
    default=IMPORT_LIMIT,
    show_default=True,
    help="How long the import of one file may take.",
)
@click.option(
    "--no-import", "read", is_flag=True, help="Run none of the project's code: tell definitions by name."
)
@pass_invocation
@click.pass_context
def command(
    ctx: click.Context,
    invocation: Invocation,
    runs: bool,
    strict: bool,
    wanted: str | None,
    import_timeout: float,
    read: bool,
) -> None:
    """Import the project and say what is wrong with it.

    Errors and warnings come as `file:line:col CODE message` with the line and the fix, what does not load with
    the traceback through the project's own lines. An error makes the exit code 1, and with --runs so does a
    run that does not fit.

    The project is imported in a process of its own: a file that hangs, exits or dies while it is imported is
    told of like one that raises, and what it prints goes to stderr.
    """
    shape = wanted or ("json" if invocation.prints_json else "text")
    if runs and shape in ("github", "sarif"):
        raise click.UsageError(f"--runs has no place in --format {shape}")
    if runs and read:
        raise click.UsageError("--runs replays the project's code, and --no-import runs none of it")
    settings = settings_of(invocation)
    if not (settings.folder / settings.project.workflows).is_dir():
        narrate(f"There is no folder {settings.project.workflows}/ in {settings.folder}: nothing to run yet.")
    if read:
        with discovered(settings, importing=False) as project:
            built = Built.of(build(settings, project, lambda: None, runs=False) | {"imported": False})
    else:
        built = Built.of(done_apart("build", settings, {"runs": runs}, limit_s=import_timeout))
    ok = built.ok(strict=strict)
    emit(built, ok=ok, shape=shape)
    ctx.exit(exits.DONE if ok else exits.FAILED)
