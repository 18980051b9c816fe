"""`ksl build`"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from ksl.cli import exits
from ksl.cli.app import narrate
from ksl.cli.fitting import emit_fitting, fitting
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json
from ksl.cli.project import count, discovered, settings_of

if TYPE_CHECKING:
    from ksl.build.discover import Project


@click.command(cls=Command, name="build")
@click.option("--runs", is_flag=True, help="Also say which unfinished runs still fit the code.")
@pass_invocation
@click.pass_context
def command(ctx: click.Context, invocation: Invocation, runs: bool) -> None:
    """Import the project and say what is wrong with it.

    Errors come as `file:line CODE message`, with the traceback through the project's own lines; one of them
    makes the exit code 1, and with --runs so does a run that does not fit.
    """
    settings = settings_of(invocation)
    if not (settings.folder / settings.project.workflows).is_dir():
        narrate(f"There is no folder {settings.project.workflows}/ in {settings.folder}: nothing to run yet.")
    with discovered(settings) as project:
        found = problems(project)
        rehearsed = asyncio.run(fitting(settings, project)) if runs else None
        ok = not found and all(run["fits"] for run in rehearsed or ())
        _emit(project, found, rehearsed, ok=ok, prints_json=invocation.prints_json)
    ctx.exit(exits.DONE if ok else exits.FAILED)


def _emit(
    project: Project, found: list[Json], runs: list[Json] | None, *, ok: bool, prints_json: bool
) -> None:
    if prints_json:
        slugs = {"workflows": sorted(project.workflows), "actions": sorted(project.actions)}
        emit_json({"ok": ok, **slugs, "errors": found} | ({} if runs is None else {"runs": runs}))
        return
    for problem in found:
        click.echo(f"{problem['file']}:{problem['line']} {problem['code']} {problem['message']}")
        if problem.get("traceback"):
            click.echo("    " + problem["traceback"].rstrip().replace("\n", "\n    "))
    click.echo(f"{summary(project)}, {count(len(found), 'error')}")
    if runs is not None:
        emit_fitting(runs)


def problems(project: Project) -> list[Json]:
    """Each with file, line, code and message; a module that failed has its traceback too."""
    from ksl.errors import DuplicateSlug

    found: list[Json] = [
        {
            "file": failure.file,
            "line": failure.line,
            "code": failure.code,
            "message": failure.error,
            "module": failure.module,
            "traceback": failure.traceback,
        }
        for failure in project.failures
    ]
    for duplicate in project.duplicates:
        file, _, line = duplicate.second.rpartition(":")
        if not line.isdigit():
            file, line = duplicate.second, "1"
        message = f"{duplicate}; rename one of them"
        found.append({"file": file, "line": int(line), "code": DuplicateSlug.code, "message": message})
    return found


def summary(project: Project) -> str:
    return f"{count(len(project.workflows), 'workflow')}, {count(len(project.actions), 'action')}"
