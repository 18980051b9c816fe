"""Imports a project's modules and collects what they define.

What goes wrong is collected, not raised, so that `ksl build` can show all of it at once; `raise_if_broken`
is for a server, which wants all or nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from ksl.agent.tools import check_tool_sets
from ksl.build.by_name import ReadingFinder
from ksl.build.credentials import credentials_of
from ksl.build.failure import ImportFailure, import_failure, relative
from ksl.build.loader import ProjectFinder, require_positions
from ksl.build.sites import DefinitionKind, KindOf, SiteTable, site_table
from ksl.build.source import SourceFile, wrapped_chain
from ksl.define.agent import Agent
from ksl.define.prompting import PREFIX, prompt_workflow
from ksl.define.source import Source, collecting
from ksl.errors import DuplicateSlug, ImportFailed, MalformedTrigger, UnknownWorkflow

if TYPE_CHECKING:
    from ksl.build.canvas import Canvas
    from ksl.build.rules.broken import RuleBroken
    from ksl.build.rules.diagnostic import Diagnostic
    from ksl.define.action import Action
    from ksl.define.credential import Credential
    from ksl.define.workflow import Workflow

FOLDERS = ("workflows", "actions", "agents", "triggers")


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two definitions of one kind with one slug; the places are file:line. The first is the one in use."""

    kind: DefinitionKind | Literal["trigger", "credential"]
    slug: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.kind} {self.slug!r} is defined at {self.first} and again at {self.second}"


@dataclass(slots=True)
class Project:
    """What a project folder defines, by slug, and what kept the rest from loading."""

    folder: Path
    workflows: dict[str, Workflow[Any, Any]] = field(default_factory=dict[str, Any])
    actions: dict[str, Action[..., Any]] = field(default_factory=dict[str, Any])
    agents: dict[str, Any] = field(default_factory=dict[str, Any])
    triggers: dict[str, Source] = field(default_factory=dict[str, Source])
    credentials: dict[str, Credential[Any]] = field(default_factory=dict[str, Any])
    tables: dict[str, SiteTable] = field(default_factory=dict[str, SiteTable])  # one for each workflow
    prompt_tables: dict[str, SiteTable] = field(default_factory=dict[str, SiteTable])
    prompts: dict[str, Workflow[Any, Any]] = field(
        default_factory=dict[str, Any]
    )  # ksl's own, one for each agent
    failures: list[ImportFailure] = field(default_factory=list[ImportFailure])
    duplicates: list[Duplicate] = field(default_factory=list[Duplicate])
    files: dict[str, SourceFile] = field(
        default_factory=dict[str, SourceFile]
    )  # parsed workflow files, by absolute path
    finder: ProjectFinder | None = None
    canvases: dict[str, Canvas] = field(default_factory=dict[str, "Canvas"])  # those drawn so far
    broken: dict[str, RuleBroken] = field(
        default_factory=dict[str, "RuleBroken"]
    )  # workflows that may start no runs: see `rules.enforce`
    diagnostics: dict[str, list[Diagnostic]] | None = None  # by workflow, once somebody has asked for them

    def with_prompts(self) -> None:
        """Its agents can be prompted from outside a workflow from now on."""
        self.workflows.update(self.prompts)
        self.tables.update(self.prompt_tables)

    @property
    def defined(self) -> list[str]:
        """The workflows that the project itself defines, in order of slug."""
        return sorted(set(self.workflows) - set(self.prompts))

    def raise_if_rule_broken(self, slug: str) -> None:
        """Errors: RuleBroken, with the code of the rule."""
        if (error := self.broken.get(slug)) is not None:
            raise type(error)(str(error))

    def code_version(self, slug: str) -> str:
        """A short hash of the source of a workflow's file and of the files of the workflows it runs."""
        if slug not in self.tables:
            raise UnknownWorkflow(f"this project has no workflow {slug!r}.")
        versions = {(relative(table.file, self.folder), table.version) for table in self.reached(slug)}
        return hashlib.sha256(repr(sorted(versions)).encode()).hexdigest()[:12]

    def reached(self, slug: str) -> list[SiteTable]:
        """The tables of a workflow, which comes first, and of those that it runs inside."""
        reached = {slug: self.tables[slug]}
        pending = [slug]
        while pending:
            for site in self.tables[pending.pop()].sites:
                if site.kind == "workflow" and site.callee in self.tables and site.callee not in reached:
                    reached[site.callee] = self.tables[site.callee]
                    pending.append(site.callee)
        return list(reached.values())

    def raise_if_broken(self) -> None:
        """Errors: ImportFailed for the modules that did not load, else DuplicateSlug."""
        if self.failures:
            lines = "".join(f"\n  {failure}" for failure in self.failures)
            raise ImportFailed(
                f"{_count(len(self.failures), 'module')} of {self.folder} did not load:{lines}\n"
                "`ksl build` shows the tracebacks; `ksl serve --keep-going` serves what did load."
            )
        if self.duplicates:
            lines = "".join(f"\n  {duplicate}" for duplicate in self.duplicates)
            raise DuplicateSlug(
                f"{_count(len(self.duplicates), 'slug')} used twice:{lines}\nRename one of each."
            )


def discover(
    folder: Path | str,
    *,
    names: Sequence[str] = FOLDERS,
    kind_of: KindOf | None = None,
    is_context: Callable[[object], bool] | None = None,
    announce: Callable[[str, Path], None] | None = None,
    refused: Mapping[str, ImportFailure] | None = None,
    importing: bool = True,
) -> Project:
    """Import every module below the folders `names` of the project at `folder`, in sorted order.

    The project's finder stays installed, so that imports written inside functions work at run time, until
    `unload`. `kind_of` and `is_context` tell definitions from other objects, by default by ksl's own classes.
    `announce` is told each module and its file before it is imported; those in `refused` are not imported but
    fail as told there, and so does what imports them. Not `importing`, none of the project's code is run: its
    definitions are told by name, see `by_name`.
    Errors: NoColumnPositions; everything else is collected in the project.
    """
    require_positions()
    if kind_of is None or is_context is None:
        from ksl.build import kinds

        kind_of, is_context = kind_of or kinds.kind_of, is_context or kinds.is_context
    refused = refused or {}
    finder = (ProjectFinder if importing else ReadingFinder)(Path(folder), names)
    finder.refused.update(refused)
    finder.install()
    project = Project(finder.root, finder=finder)
    try:
        with collecting() as made:
            loaded: list[ModuleType | None] = []
            for name, file in _modules(finder.root, names):
                if name in refused:
                    project.failures.append(refused[name])
                    continue
                if announce is not None:
                    announce(name, file)
                loaded.append(_load(project, name, file))
        modules = [module for module in loaded if module is not None]
        _Collector(project, kind_of).collect(modules)
        # Only now: a call may name a workflow of a module that was loaded later.
        _make_tables(project, kind_of, is_context, announce)
        _make_prompts(project, kind_of, is_context)
        _check_agents(project)
        _collect_sources(project, made, modules)
        _collect_credentials(project, modules)
    except BaseException:  # somebody pressed Ctrl-C
        finder.uninstall()
        raise
    return project


def unload(project: Project) -> None:
    """Take the project's modules out of `sys.modules` and its folder off `sys.path`."""
    if project.finder is not None:
        project.finder.uninstall()


def _modules(root: Path, names: Sequence[str]) -> Iterator[tuple[str, Path]]:
    files: set[Path] = set()
    for name in names:
        for folder, inner, leaves in os.walk(root / name):
            inner[:] = [each for each in inner if not each.startswith(".") and each != "__pycache__"]
            files.update(Path(folder, leaf) for leaf in leaves if leaf.endswith(".py") and leaf[0] != ".")
    for file in sorted(files):
        parts = file.relative_to(root).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


def _load(project: Project, name: str, file: Path) -> ModuleType | None:
    try:
        module = importlib.import_module(name)
        if module.__file__ != str(file):
            raise ImportError(f"{file.name} is hidden by {module.__file__}, which is the module {name} too")
        return module
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, or whatever else a module thinks of
        project.failures.append(import_failure(error, module=name, file=file, root=project.folder))
        if project.finder is not None:
            project.finder.refused.add(name)  # whoever else imports it is told so, and not of this again
        return None


class _Collector:
    """Sorts what modules define into a project. One object met in several modules is one definition."""

    def __init__(self, project: Project, kind_of: KindOf) -> None:
        self._project = project
        self._kind_of = kind_of
        self._by_kind: dict[str, dict[str, Any]] = {
            "action": project.actions,
            "workflow": project.workflows,
            "agent": project.agents,
        }
        self._places: dict[int, str] = {}

    def collect(self, modules: list[ModuleType]) -> None:
        for module in modules:
            for name, value in list(vars(module).items()):
                known = self._kind_of(value)
                if known is not None and known[0] in self._by_kind and id(value) not in self._places:
                    self._places[id(value)] = self._place(module, name, value)
                    self._add(*known, value)

    def _add(self, kind: DefinitionKind, slug: str, value: object) -> None:
        first = self._by_kind[kind].setdefault(slug, value)
        if first is not value:
            places = (self._places[id(first)], self._places[id(value)])
            self._project.duplicates.append(Duplicate(kind, slug, *places))

    def _place(self, module: ModuleType, name: str, value: object) -> str:
        chain = wrapped_chain(getattr(value, "function", None))
        if not chain:
            return f"{relative(str(module.__file__), self._project.folder)} ({name})"
        code = chain[-1].__code__
        return f"{relative(code.co_filename, self._project.folder)}:{code.co_firstlineno}"


def _make_tables(
    project: Project,
    kind_of: KindOf,
    is_context: Callable[[object], bool],
    announce: Callable[[str, Path], None] | None,
) -> None:
    for slug, workflow in list(project.workflows.items()):
        function: Callable[..., object] = workflow.function
        name: str = getattr(function, "__module__", None) or ""  # code made by exec has none
        file = Path(getattr(sys.modules.get(name), "__file__", None) or "<unknown>")
        if announce is not None:  # an import inside the function is carried out
            announce(name, file)
        try:
            project.tables[slug] = site_table(
                slug, function, kind_of=kind_of, is_context=is_context, files=project.files
            )
        except Exception as error:
            del project.workflows[slug]
            project.failures.append(
                _unread(error, slug, function, module=name, file=file, root=project.folder)
            )


def _unread(
    error: Exception, slug: str, function: Callable[..., object], *, module: str, file: Path, root: Path
) -> ImportFailure:
    """Why the source of a workflow cannot be read, at its function."""
    if isinstance(error, RecursionError):
        error = RecursionError(f"workflow {slug} is nested too deep to be read; divide it into functions")
    failure = import_failure(error, module=module, file=file, root=root)
    code = getattr(function, "__code__", None)
    return replace(failure, line=code.co_firstlineno) if code is not None and failure.line == 1 else failure


def _collect_sources(project: Project, made: Sequence[Source], modules: Sequence[ModuleType]) -> None:
    """Those made while the project loaded, named or not, and those that its modules name.

    One that can never fire, or that is attached to a workflow which did not load, is a failure.
    """
    failed = {failure.file for failure in project.failures}
    failed |= {f"{failure.module.replace('.', '/')}.py" for failure in project.failures}
    named = [value for module in modules for value in vars(module).values() if isinstance(value, Source)]
    for source in {id(source): source for source in [*made, *named]}.values():
        file, _, line = source.place.rpartition(":")
        if relative(file, project.folder) in failed:
            continue  # of a module that raised further down: it is told of already
        try:
            source.prepare()
            _check_attachments(project, source)
        except Exception as error:
            failure = import_failure(error, module=source.slug, file=Path(file), root=project.folder)
            project.failures.append(replace(failure, line=int(line)))
            continue
        first = project.triggers.setdefault(source.slug, source)
        if first is not source:
            places = [_place_of(each.place, project.folder) for each in (first, source)]
            project.duplicates.append(Duplicate("trigger", source.slug, *places))


def _check_attachments(project: Project, source: Source) -> None:
    for attachment in source.attachments:
        workflow = attachment.workflow
        if workflow not in (project.workflows.get(workflow.slug), project.prompts.get(workflow.slug)):
            raise MalformedTrigger(
                f"{source.where} is attached to {_target(workflow.slug)}, which this project does not define "
                "or could not load."
            )


def _target(slug: str) -> str:
    return f"agent {slug.removeprefix(PREFIX)}" if slug.startswith(PREFIX) else f"workflow {slug}"


def _make_prompts(project: Project, kind_of: KindOf, is_context: Callable[[object], bool]) -> None:
    for agent in project.agents.values():
        if isinstance(agent, Agent):  # and not what its source tells of one
            workflow = prompt_workflow(agent)
            project.prompts[workflow.slug] = workflow
            project.prompt_tables[workflow.slug] = site_table(
                workflow.slug, workflow.function, kind_of=kind_of, is_context=is_context
            )


def _check_agents(project: Project) -> None:
    """What is wrong with one is a failure: a prompt of it could not begin."""
    for agent in project.agents.values():
        if isinstance(agent, Agent):
            try:
                check_tool_sets(agent, folder=project.folder)
            except Exception as error:
                file, _, line = agent.place.rpartition(":")
                failure = import_failure(error, module=agent.slug, file=Path(file), root=project.folder)
                project.failures.append(replace(failure, line=int(line)))


def _collect_credentials(project: Project, modules: Sequence[ModuleType]) -> None:
    for each in credentials_of(
        modules, actions=project.actions, sources=project.triggers, agents=project.agents
    ):
        first = project.credentials.setdefault(each.name, each)
        if first is not each:
            places = [_place_of(one.place, project.folder) for one in (first, each)]
            project.duplicates.append(Duplicate("credential", each.name, *places))


def _place_of(place: str, folder: Path) -> str:
    file, _, line = place.rpartition(":")
    return f"{relative(file, folder)}:{line}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
