"""`ksl canvas`"""

from __future__ import annotations

import asyncio
import shutil
import sys
from typing import Literal

import click

from ksl.cli.apart.parent import IMPORT_LIMIT, done_apart
from ksl.cli.app import narrate
from ksl.cli.arguments import DURATION
from ksl.cli.connect import reading
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json
from ksl.cli.project import count, settings_of
from ksl.errors import UnknownWorkflow

Form = Literal["tree", "boxes", "json", "mermaid", "svg"]


@click.command(cls=Command, name="canvas")
@click.argument("slug")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "boxes", "json", "mermaid", "svg"]),
    help="Default: tree on a terminal, json elsewhere.",
)
@click.option(
    "--run", "run_id", metavar="ID", help="Where a run is on it, drawn from the code it was started with."
)
@click.option("--expand", is_flag=True, help="Open up the workflows that run inside.")
@click.option("--ascii", "ascii", is_flag=True, help="Draw tree and boxes with ASCII alone.")
@click.option(
    "--import-timeout",
    type=DURATION,
    default=IMPORT_LIMIT,
    show_default=True,
    help="How long the import of one file may take.",
)
@pass_invocation
def command(
    invocation: Invocation,
    slug: str,
    form: Form | None,
    run_id: str | None,
    *,
    expand: bool,
    ascii: bool,
    import_timeout: float,
) -> None:
    """Draw a workflow from its source, running nothing."""
    if run_id is None:
        shown = _of_source(invocation, slug, expand=expand, limit_s=import_timeout)
    else:
        shown = asyncio.run(_of_run(invocation, slug, run_id, expand=expand))
    from ksl.views.drawings import drawn, drawn_from

    if told := drawn_from(shown):
        narrate(f"{told}.")
    form = form or ("json" if invocation.prints_json and not ascii else "tree")
    if form == "json":
        emit_json(shown)
        return
    text = drawn(shown, form, ascii=ascii)
    click.echo(text, nl=False)
    if form == "boxes" and sys.stdout.isatty():
        _tell_if_too_wide(text)


def _tell_if_too_wide(text: str) -> None:
    """A terminal breaks lines that it has no room for, and what they draw falls apart."""
    from ksl.build.canvas.glyphs import cells

    columns = shutil.get_terminal_size().columns
    width = max(map(cells, text.splitlines()))
    if width > columns:
        narrate(
            f"This drawing is {width} columns wide, and the terminal has {columns}. `--format tree` fits any; "
            "`| less -S` shows lines in full."
        )


def _of_source(invocation: Invocation, slug: str, *, expand: bool, limit_s: float) -> Json:
    answer = done_apart("canvas", settings_of(invocation), {"slug": slug, "expand": expand}, limit_s=limit_s)
    if "unknown" in answer:
        if answer["failures"]:
            errors = count(answer["failures"], "module")
            narrate(f"{errors} did not load (see `ksl build`): {slug} may be defined there.")
        raise UnknownWorkflow(answer["unknown"])
    return answer["canvas"]


async def _of_run(invocation: Invocation, slug: str, run_id: str, *, expand: bool) -> Json:
    async with reading(invocation) as reader:
        return await reader.canvas(slug, run_id=run_id, expand=expand)
