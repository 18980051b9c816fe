"""Which workflows break a rule that counts as an error, directly or in what they call.

An error belongs to every workflow that can come to its line: in the workflow's function, in the functions it
names, in the actions and workflows among these, through the files of the project. One that stands in a file
of workflows outside all of their functions, such as a method, belongs to each workflow of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import getattr_static
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from ksl.build.kinds import kind_of
from ksl.build.loader import is_project_file
from ksl.build.rules.broken import rule_broken
from ksl.build.rules.check import check
from ksl.build.rules.diagnostic import Diagnostic
from ksl.build.source import wrapped_chain

if TYPE_CHECKING:
    from ksl.build.discover import Project

_Span = tuple[str, int, int]  # file, first line, last line


def enforce(project: Project) -> list[Diagnostic]:
    """Marks the workflows that may start no runs, in `project.broken`. Returns what breaks the rules."""
    errors = check(project, errors_only=True)
    for slug, found in _by_workflow(project, errors).items():
        first = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        project.broken[slug] = rule_broken(first.code)(
            f"workflow {slug} breaks a rule at {first.file}:{first.line}:{first.col}: {first.message}{more}. "
            "It starts no runs, and its unfinished runs are held. "
            f"Put the code right (fix: {first.fix}) and restart; `ksl build` shows all of it."
        )
    return errors


def diagnostics_of(project: Project) -> dict[str, list[Diagnostic]]:
    """Errors and warnings by workflow, those without any left out. Reads every file when it is first asked."""
    if project.diagnostics is None:
        told = [each for each in check(project) if each.severity != "information"]
        project.diagnostics = _by_workflow(project, told)
    return project.diagnostics


def _by_workflow(project: Project, errors: list[Diagnostic]) -> dict[str, list[Diagnostic]]:
    if not errors:
        return {}
    spans = {slug: set(_reached(project, workflow)) for slug, workflow in project.workflows.items()}
    found: dict[str, list[Diagnostic]] = {}
    for error in errors:
        file = str(project.folder / error.file)
        slugs = [slug for slug in spans if any(_lies_in(file, error.line, span) for span in spans[slug])]
        if not slugs:
            slugs = [slug for slug in spans if slug in project.tables and project.tables[slug].file == file]
        for slug in slugs:
            found.setdefault(slug, []).append(error)
    return found


def _lies_in(file: str, line: int, span: _Span) -> bool:
    return span[0] == file and span[1] <= line <= span[2]


def _reached(project: Project, workflow: object) -> Iterator[_Span]:
    """The functions of the project that a workflow can come to, by the names in their code."""
    pending: list[object] = [workflow]
    seen: set[int] = set()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if kind_of(value) is not None:
            value = getattr_static(value, "action", value)  # the action of a scoped one
            pending += wrapped_chain(_member(value, "function"))
            continue
        for function in wrapped_chain(value):
            code = function.__code__
            if is_project_file(code.co_filename, project.folder):
                yield (code.co_filename, code.co_firstlineno, _last_line(code))
                pending += _named(function)


def _named(function: FunctionType) -> Iterator[object]:
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType):
            file = getattr(value, "__file__", None)
            if isinstance(file, str) and Path(file).suffix == ".py":
                yield from (_member(value, attribute) for attribute in names)
        else:
            yield value
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # assigned later
            continue


def _member(value: Any, name: str) -> object:
    try:
        return getattr_static(value, name)
    except (AttributeError, TypeError):
        return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _last_line(code: CodeType) -> int:
    return max((line for each in _codes(code) for *_, line in each.co_lines() if line is not None), default=0)
