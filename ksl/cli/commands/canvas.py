"""`ksl canvas`"""

from __future__ import annotations

from typing import Literal

import click

from ksl.cli.app import narrate
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import emit_json
from ksl.cli.project import count, discovered, settings_of


@click.command(cls=Command, name="canvas")
@click.argument("slug")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "json", "mermaid"]),
    help="Default: tree on a terminal, json elsewhere.",
)
@pass_invocation
def command(invocation: Invocation, slug: str, form: Literal["tree", "json", "mermaid"] | None) -> None:
    """Draw a workflow from its source, running nothing."""
    with discovered(settings_of(invocation)) as project:
        from ksl.views.canvas import canvas_json, canvas_mermaid, canvas_outline

        if project.failures and slug not in project.workflows:
            errors = count(len(project.failures), "module")
            narrate(f"{errors} did not load (see `ksl build`): {slug} may be defined there.")
        match form or ("json" if invocation.prints_json else "tree"):
            case "json":
                emit_json(canvas_json(project, slug))
            case "mermaid":
                click.echo(canvas_mermaid(project, slug), nl=False)
            case "tree":
                click.echo(canvas_outline(project, slug), nl=False)
