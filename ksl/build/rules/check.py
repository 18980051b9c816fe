"""Runs every rule over every module of a project."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from ksl.build import kinds
from ksl.build.by_name import ReadingFinder
from ksl.build.canvas import Canvas, canvas_of
from ksl.build.failure import relative
from ksl.build.rules.diagnostic import Diagnostic, Finding, Lines, Severity
from ksl.build.rules.malformed_definition import MalformedDefinition
from ksl.build.rules.reading import Reading
from ksl.build.rules.registry import all_rules
from ksl.build.rules.silent_loss import SilentLoss
from ksl.build.source import SourceFile, wrapped_chain
from ksl.define.context import Context
from ksl.define.poll import PollSource

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.build.rules.rule import Rule

_SHOWN_MAX = 2_000  # characters of a line
_WEIGHT: dict[Severity, int] = {"information": 0, "warning": 1, "error": 2}
_IGNORE = re.compile(r"#\s*ksl:\s*ignore\[([A-Z0-9,\s]+)\]")


def check(project: Project, *, errors_only: bool = False) -> list[Diagnostic]:
    """What breaks a rule, in the order of files, lines and columns; one diagnostic for a node.

    Looks at the modules that are loaded from the project's folder, tests excepted. What did not load is in
    `project.failures`; of that, malformed definitions are here too, under the same message. Warnings that a
    comment on their line ignores are left out. `errors_only` leaves out all warnings, and what is asked for
    them alone.
    """
    found: list[Diagnostic] = []
    readings = _readings(project, calls_only=errors_only)
    outside = frozenset(head for file in readings for head in file.outside_functions())
    for file in readings:
        file.outside = outside
        found += check_file(file, errors_only=errors_only)
    return sorted([*found, *_malformed(project)])


def check_file(file: Reading, *, errors_only: bool = False) -> list[Diagnostic]:
    by_node: dict[ast.AST, Diagnostic] = {}

    def tell(rule: Rule, findings: Iterable[Finding]) -> None:
        for finding in findings:
            diagnostic = _diagnostic(rule, finding, file=file.file, lines=file.lines)
            known = by_node.get(finding.node)
            # Rules come in the order of their codes; an error counts for more than a warning.
            if known is None or _WEIGHT[known.severity] < _WEIGHT[diagnostic.severity]:
                by_node[finding.node] = diagnostic

    for rule in all_rules():
        if rule.severity == "error" or not errors_only:
            tell(rule, rule.findings(file))
    told: dict[ast.AST, Severity] = {
        node: each.severity for node, each in by_node.items() if each.severity != "information"
    }
    lost = SilentLoss()
    tell(lost, list(lost.findings_beside(file, told)))
    ignored = _ignored(file.source.text)
    return [
        each
        for each in by_node.values()
        if each.severity == "error"
        or (not errors_only and each.code not in ignored.get(each.line, frozenset()))
    ]


def _diagnostic(rule: Rule, finding: Finding, *, file: str, lines: Lines) -> Diagnostic:
    node: Any = finding.node
    line, end_line = node.lineno, node.end_lineno or node.lineno
    return Diagnostic(
        file=file,
        line=line,
        col=lines.column(line, node.col_offset),
        code=finding.code or rule.code,
        severity=finding.severity or rule.severity,
        end_line=end_line,
        end_col=lines.column(end_line, node.end_col_offset or node.col_offset),
        message=finding.message,
        fix=finding.fix,
        source=lines[line] if len(lines[line]) <= _SHOWN_MAX else "",
    )


def _malformed(project: Project) -> list[Diagnostic]:
    rule = MalformedDefinition()
    found: list[Diagnostic] = []
    for failure in project.failures:
        source = _source(project, str(project.folder / failure.file)) if failure.code == rule.code else None
        finding = rule.of_failure(failure, source) if source is not None else None
        if source is not None and finding is not None:
            found.append(_diagnostic(rule, finding, file=failure.file, lines=Lines(source.text)))
    return found


def _ignored(text: str) -> dict[int, frozenset[str]]:
    """Codes by line. Comments only: the same words in a string ignore nothing."""
    ignored: dict[int, frozenset[str]] = {}
    if _IGNORE.search(text) is None:
        return ignored
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            found = _IGNORE.search(token.string) if token.type == tokenize.COMMENT else None
            if found is not None:
                ignored[token.start[0]] = frozenset(re.split(r"[\s,]+", found[1].strip()))
    except (tokenize.TokenError, SyntaxError):  # the tokenizer of the library is stricter than the parser
        pass
    return ignored


def _readings(project: Project, *, calls_only: bool = False) -> list[Reading]:
    """`calls_only` passes over files without workflows in which no step can be called."""
    bodies = _by_file([each.function for each in project.workflows.values()])
    actions = _by_file([each.function for each in project.actions.values()])
    runs = [each.run for each in project.triggers.values() if isinstance(each, PollSource)]
    polls = _by_file(project.finder.polls if isinstance(project.finder, ReadingFinder) else runs)
    drawn, undrawn = _canvases(project)
    readings: list[Reading] = []
    failed = {str(project.folder / failure.file) for failure in project.failures}
    for path, module in _modules(project).items():
        if path in failed:
            continue  # a workflow of it cannot be read, and its steps would seem to stand outside of one
        if calls_only and path not in bodies and not _may_call(project, path):
            continue
        source = _source(project, path)
        if source is not None:
            readings.append(
                Reading(
                    source,
                    vars(module),
                    file=relative(path, project.folder),
                    sites=[
                        site
                        for table in project.tables.values()
                        if table.file == path
                        for site in table.sites
                    ],
                    bodies=bodies.get(path, []),
                    actions=actions.get(path, []),
                    polls=polls.get(path, []),
                    kind_of=kinds.kind_of,
                    is_context=Context,
                    canvases=[canvas for canvas in drawn.values() if canvas.source.path == path],
                    undrawn=undrawn.get(path, []),
                )
            )
    return readings


def _canvases(project: Project) -> tuple[dict[str, Canvas], dict[str, list[FunctionType]]]:
    """By workflow; and by file the functions of those that are too deep to draw."""
    drawn: dict[str, Canvas] = {}
    undrawn: list[Callable[..., object]] = []
    for slug in project.tables:
        try:
            drawn[slug] = canvas_of(project, slug)
        except RecursionError:
            undrawn.append(project.workflows[slug].function)
    return drawn, _by_file(undrawn)


def _modules(project: Project) -> dict[str, ModuleType]:
    modules: dict[str, ModuleType] = {}
    for module in project.finder.loaded() if project.finder is not None else []:
        path = module.__file__
        if (
            path is not None
            and path.endswith(".py")
            and "tests" not in Path(path).relative_to(project.folder).parts
        ):
            modules[path] = module
    return dict(sorted(modules.items()))


def _may_call(project: Project, path: str) -> bool:
    text = project.finder.sources.get(path) if project.finder is not None else None
    return text is None or ".run" in text or ".prompt" in text


def _by_file(functions: list[Callable[..., object]]) -> dict[str, list[FunctionType]]:
    found: dict[str, list[FunctionType]] = {}
    for function in functions:
        for link in wrapped_chain(function):
            found.setdefault(link.__code__.co_filename, []).append(link)
    return found


def _source(project: Project, path: str) -> SourceFile | None:
    if path in project.files:
        return project.files[path]
    text = None if project.finder is None else project.finder.sources.get(path)
    try:
        return SourceFile(path, Path(path).read_text(encoding="utf-8") if text is None else text)
    except (OSError, ValueError, SyntaxError, RecursionError):  # gone or changed since it was loaded
        return None
