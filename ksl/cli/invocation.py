"""The options that every command takes, before or after its name: -C/--folder, --json, --url."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import click


@dataclass
class Invocation:
    folder: Path | None = None  # where to look for the project, upwards; None: the current folder
    as_json: bool = False  # --json was given
    url: str | None = None  # --url
    # Set where a command knows better than "interrupted" what Ctrl-C left behind.
    on_interrupt: list[str] = field(default_factory=list[str])

    @property
    def start(self) -> Path:
        return self.folder or Path.cwd()

    @property
    def prints_json(self) -> bool:
        return self.as_json or not sys.stdout.isatty()


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    if value and param.name:
        setattr(ctx.ensure_object(Invocation), param.name, value)


SHARED = (
    click.Option(
        ["-C", "--folder"],
        type=click.Path(file_okay=False, path_type=Path),
        expose_value=False,
        callback=_remember,
        help="Look for the project here and in the folders above. Default: the current folder.",
    ),
    click.Option(
        ["--json", "as_json"],
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="JSON on stdout, also on a terminal.",
    ),
    click.Option(
        ["--url"],
        metavar="URL",
        expose_value=False,
        callback=_remember,
        help="Talk to the server at this address, with KSL_TOKEN. Also KSL_URL.",
    ),
)


class Command(click.Command):
    """A command that takes the shared options after its name too."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return with_shared(super().get_params(ctx))


class LocalCommand(Command):
    """One that works on this machine alone. A server that is named for it is a mistake, and would go unnoticed."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [each for each in super().get_params(ctx) if each.name != "url"]

    def invoke(self, ctx: click.Context) -> object:
        if ctx.ensure_object(Invocation).url:
            raise click.UsageError(
                f"--url: `{ctx.command_path}` asks no server; it works on this machine.", ctx
            )
        return super().invoke(ctx)


def with_shared(params: list[click.Parameter]) -> list[click.Parameter]:
    """click puts --help last, and it stays there."""
    return [*params[:-1], *SHARED, *params[-1:]]
