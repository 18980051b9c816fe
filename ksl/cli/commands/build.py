"""`ksl build`"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ksl import __version__
from ksl.cli import exits
from ksl.cli.app import narrate
from ksl.cli.fitting import emit_fitting, fitting
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json
from ksl.cli.project import count, discovered, settings_of

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.build.rules.diagnostic import Diagnostic, Severity


FORMATS = ("text", "json", "github", "sarif")


@click.command(cls=Command, name="build")
@click.option("--runs", is_flag=True, help="Also say which unfinished runs still fit the code.")
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option(
    "--format",
    "wanted",
    type=click.Choice(FORMATS),
    help="How to print; by default text on a terminal, else JSON.",
)
@pass_invocation
@click.pass_context
def command(ctx: click.Context, invocation: Invocation, runs: bool, strict: bool, wanted: str | None) -> None:
    """Import the project and say what is wrong with it.

    Errors and warnings come as `file:line:col CODE message` with the line and the fix, what does not load with
    the traceback through the project's own lines. An error makes the exit code 1, and with --runs so does a
    run that does not fit.
    """
    from ksl.build.rules.check import check

    shape = wanted or ("json" if invocation.prints_json else "text")
    if runs and shape in ("github", "sarif"):
        raise click.UsageError(f"--runs has no place in --format {shape}")
    settings = settings_of(invocation)
    if not (settings.folder / settings.project.workflows).is_dir():
        narrate(f"There is no folder {settings.project.workflows}/ in {settings.folder}: nothing to run yet.")
    with discovered(settings) as project:
        found = Found(problems(project), check(project))
        rehearsed = asyncio.run(fitting(settings, project)) if runs else None
        ok = not found.fails(strict=strict) and all(run["fits"] for run in rehearsed or ())
        _emit(project, found, rehearsed, ok=ok, shape=shape)
    ctx.exit(exits.DONE if ok else exits.FAILED)


@dataclass(frozen=True, slots=True)
class Found:
    """What keeps modules from loading, and what breaks a rule."""

    problems: list[Json]
    diagnostics: list[Diagnostic]

    def fails(self, *, strict: bool) -> bool:
        return bool(self.problems or self.of("error") or (strict and self.of("warning")))

    def untold(self) -> list[Json]:
        """The problems that no diagnostic tells of."""
        return [each for each in self.problems if not any(_is_same(each, told) for told in self.diagnostics)]

    def errors(self) -> list[Json]:
        """All of them; what comes from both sides has the keys of both."""
        from ksl.build.rules.report import as_json

        told: list[Json] = []
        for each in self.of("error"):
            same = next((problem for problem in self.problems if _is_same(problem, each)), None)
            told.append((same or {}) | as_json(each))
        return [*self.untold(), *told]

    def of(self, severity: Severity) -> list[Diagnostic]:
        return [each for each in self.diagnostics if each.severity == severity]

    def all(self) -> list[Diagnostic]:
        from ksl.build.rules.diagnostic import Diagnostic

        loading = [
            Diagnostic(
                file=each["file"],
                line=each["line"],
                col=1,
                code=each["code"],
                severity="error",
                end_line=each["line"],
                end_col=2,
                message=each["message"],
                fix="",
                source="",
            )
            for each in self.untold()
        ]
        return sorted([*loading, *self.diagnostics])


def _is_same(problem: Json, told: Diagnostic) -> bool:
    return (problem["file"], problem["code"]) == (told.file, told.code) and problem["message"].endswith(
        told.message
    )


def _emit(project: Project, found: Found, runs: list[Json] | None, *, ok: bool, shape: str) -> None:
    from ksl.build.rules import report

    match shape:
        case "json":
            emit_json(
                {
                    "ok": ok,
                    "workflows": sorted(project.workflows),
                    "actions": sorted(project.actions),
                    "errors": found.errors(),
                    "warnings": [
                        report.as_json(each) for each in found.diagnostics if each.severity != "error"
                    ],
                }
                | ({} if runs is None else {"runs": runs})
            )
        case "sarif":
            emit_json(report.as_sarif(found.all(), version=__version__))
        case "github":
            for each in found.all():
                click.echo(report.as_github(each))
        case _:
            _emit_text(project, found)
            if runs is not None:
                emit_fitting(runs)


def _emit_text(project: Project, found: Found) -> None:
    from ksl.build.rules import report

    for problem in found.untold():
        click.echo(f"{problem['file']}:{problem['line']} {problem['code']} {problem['message']}")
        if problem.get("traceback"):
            click.echo("    " + problem["traceback"].rstrip().replace("\n", "\n    "))
    for each in found.diagnostics:
        click.echo(report.as_text(each))
    counts = count(len(found.errors()), "error")
    if warnings := found.of("warning"):
        counts += f", {count(len(warnings), 'warning')}"
    click.echo(f"{summary(project)}, {counts}")


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
