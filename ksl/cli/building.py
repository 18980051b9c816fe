"""What a build has found, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ksl import __version__
from ksl.cli.fitting import emit_fitting
from ksl.cli.output import Json, emit_json
from ksl.cli.project import count

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.build.rules.diagnostic import Diagnostic, Severity


@dataclass(frozen=True, slots=True)
class Built:
    """What keeps modules from loading, what breaks a rule, and which unfinished runs still fit."""

    workflows: list[str]
    actions: list[str]
    triggers: list[str]
    problems: list[Json]
    diagnostics: list[Diagnostic]
    runs: list[Json] | None = None  # None: not asked
    imported: bool = True

    @classmethod
    def of(cls, answer: Json) -> Built:
        """From the JSON of `ksl.cli.apart.tasks.build`."""
        from ksl.build.rules.diagnostic import Diagnostic

        return cls(
            workflows=answer["workflows"],
            actions=answer["actions"],
            triggers=answer["triggers"],
            problems=answer["problems"],
            diagnostics=[Diagnostic(**each) for each in answer["diagnostics"]],
            runs=answer["runs"],
            imported=answer["imported"],
        )

    def ok(self, *, strict: bool) -> bool:
        fails = self.problems or self.of_severity("error") or (strict and self.of_severity("warning"))
        return not fails and all(run["fits"] for run in self.runs or ())

    def untold(self) -> list[Json]:
        """The problems that no diagnostic tells of."""
        return [each for each in self.problems if not any(_is_same(each, told) for told in self.diagnostics)]

    def errors(self) -> list[Json]:
        """All of them; what comes from both sides has the keys of both."""
        from ksl.build.rules.report import as_json

        told: list[Json] = []
        for each in self.of_severity("error"):
            same = next((problem for problem in self.problems if _is_same(problem, each)), None)
            told.append((same or {}) | as_json(each))
        return [*self.untold(), *told]

    def of_severity(self, severity: Severity) -> list[Diagnostic]:
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
    return (problem["file"], problem["code"], problem["message"]) == (told.file, told.code, told.message)


def emit(found: Built, *, ok: bool, shape: str) -> None:
    """In one of the formats of `ksl build`."""
    from ksl.build.rules import report

    match shape:
        case "json":
            emit_json(
                {
                    "ok": ok,
                    "workflows": found.workflows,
                    "actions": found.actions,
                    "triggers": found.triggers,
                    "errors": found.errors(),
                    "warnings": [
                        report.as_json(each) for each in found.diagnostics if each.severity != "error"
                    ],
                }
                | ({} if found.runs is None else {"runs": found.runs})
                | ({} if found.imported else {"imported": False})
            )
        case "sarif":
            emit_json(report.as_sarif(found.all(), version=__version__))
        case "github":
            for each in found.all():
                click.echo(report.as_github(each))
        case _:
            _emit_text(found)
            if found.runs is not None:
                emit_fitting(found.runs)


def _emit_text(found: Built) -> None:
    from ksl.build.rules import report

    for problem in found.untold():
        click.echo(f"{problem['file']}:{problem['line']} {problem['code']} {problem['message']}")
        if problem.get("traceback"):
            click.echo("    " + problem["traceback"].rstrip().replace("\n", "\n    "))
    for each in found.diagnostics:
        click.echo(report.as_text(each))
    counts = count(len(found.errors()), "error")
    if warnings := found.of_severity("warning"):
        counts += f", {count(len(warnings), 'warning')}"
    what = _told(len(found.workflows), len(found.actions), len(found.triggers))
    unsure = "" if found.imported else " (read without importing: names alone)"
    click.echo(f"{what}, {counts}{unsure}")


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
    return _told(len(project.workflows), len(project.actions), len(project.triggers))


def _told(workflows: int, actions: int, triggers: int) -> str:
    told = f"{count(workflows, 'workflow')}, {count(actions, 'action')}"
    return f"{told}, {count(triggers, 'trigger')}" if triggers else told
