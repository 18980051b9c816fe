"""The project that a test's workflows make: each with its site table, and those it runs in turn.

A workflow need not lie in a project's folder: its table is made from its function's own file, the test module
included (pytest's rewriting of asserts keeps every position).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from ksl.build import kinds
from ksl.build.discover import Project
from ksl.build.site import DefinitionKind
from ksl.build.sites import SiteTable, site_table
from ksl.build.source import SourceFile, read_source, wrapped_chain
from ksl.define.action import Action, ScopedAction
from ksl.define.agent import Agent, workflows_of
from ksl.define.workflow import Workflow
from ksl.errors import DuplicateSlug

# Parsed once for all environments of a test session; a file that was loaded anew has another text.
_files: dict[str, SourceFile] = {}


class Definitions:
    def __init__(self, folder: Path) -> None:
        self.project = Project(folder)

    @property
    def actions(self) -> dict[str, Action[..., Any]]:
        """Those that the source of a workflow names."""
        return self.project.actions

    def add(self, workflow: Workflow[Any, Any]) -> None:
        """Errors: DuplicateSlug, SourceMissing."""
        if not isinstance(workflow, Workflow):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{workflow!r} is not a workflow: decorate its function with @workflow")
        pending = [workflow]
        while pending:
            each = pending.pop()
            known = self.project.workflows.get(each.slug)
            if known is each:
                continue
            if known is not None:
                raise DuplicateSlug(
                    f"two workflows of this environment have the slug {each.slug!r}: {_place(known)} and "
                    f"{_place(each)}. Give one of them another slug."
                )
            self.project.tables[each.slug], named = self._table(each)
            self.project.workflows[each.slug] = each
            pending.extend(named)

    def _table(self, workflow: Workflow[Any, Any]) -> tuple[SiteTable, list[Workflow[Any, Any]]]:
        named: list[Workflow[Any, Any]] = []

        def kind_of(value: object) -> tuple[DefinitionKind, str] | None:
            match value:
                case Workflow():
                    named.append(cast("Workflow[Any, Any]", value))
                case Agent():
                    named.extend(workflows_of(value))
                case Action():
                    self.actions[value.slug] = cast("Action[..., Any]", value)
                case ScopedAction():
                    scoped = cast("ScopedAction[..., Any]", value).action
                    self.actions[scoped.slug] = scoped
                case _:
                    pass
            return kinds.kind_of(cast("object", value))

        files: dict[str, SourceFile] = {}
        chain = wrapped_chain(workflow.function)
        if chain:
            path = chain[-1].__code__.co_filename
            parsed = _files.get(path)
            if parsed is not None and parsed.text == read_source(chain[-1]):
                files[path] = parsed
        table = site_table(
            workflow.slug, workflow.function, kind_of=kind_of, is_context=kinds.is_context, files=files
        )
        _files.update(files)
        return table, named


def _place(workflow: Workflow[Any, Any]) -> str:
    code = workflow.function.__code__
    return f"{code.co_filename}:{code.co_firstlineno}"
