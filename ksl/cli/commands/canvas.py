"""`ksl canvas`"""

from __future__ import annotations

from typing import Literal

import click

from ksl.cli.app import narrate
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import emit_json
from ksl.cli.project import count, discovered, settings_of

Form = Literal["tree", "boxes", "json", "mermaid", "svg"]


@click.command(cls=Command, name="canvas")
@click.argument("slug")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "boxes", "json", "mermaid", "svg"]),
    help="Default: tree on a terminal, json elsewhere.",
)
@click.option("--ascii", "ascii", is_flag=True, help="Draw tree and boxes with ASCII alone.")
@pass_invocation
def command(invocation: Invocation, slug: str, form: Form | None, *, ascii: bool) -> None:
    """Draw a workflow from its source, running nothing."""
    with discovered(settings_of(invocation)) as project:
        from ksl.views.canvas import canvas_boxes, canvas_json, canvas_mermaid, canvas_outline, canvas_svg

        if project.failures and slug not in project.workflows:
            errors = count(len(project.failures), "module")
            narrate(f"{errors} did not load (see `ksl build`): {slug} may be defined there.")
        match form or ("json" if invocation.prints_json and not ascii else "tree"):
            case "json":
                emit_json(canvas_json(project, slug))
            case "mermaid":
                click.echo(canvas_mermaid(project, slug), nl=False)
            case "svg":
                click.echo(canvas_svg(project, slug), nl=False)
            case "boxes":
                click.echo(canvas_boxes(project, slug, ascii=ascii).text, nl=False)
            case "tree":
                click.echo(canvas_outline(project, slug, ascii=ascii), nl=False)
