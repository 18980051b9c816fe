"""The site table: every place of a workflow where a step is called, and the key each one has.

One table serves the ids of a run, its canvas and the build rules. At run time a step call finds its site by
its caller's frame: the position of the instruction `f_lasti`, matched by its END against the `ast.Call`. The
end is unique among calls; the start is not that of the call where a method chain is split over lines.

A workflow's sites lie in its function and in the functions of the same file that it reaches by name. They
are numbered per callee in the order of the file, so adding a call to another callee shifts nothing.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from types import CodeType, FunctionType
from typing import Literal

from ksl.build.names import CONTEXT, UNKNOWN, Names, Scope, bindings, target_names
from ksl.build.source import FunctionNode, SourceFile, read_source, wrapped_chain
from ksl.errors import SourceMissing

DefinitionKind = Literal["action", "workflow", "agent", "llm"]
SiteKind = Literal["action", "workflow", "agent", "llm", "sleep", "hook", "dynamic"]
SiteScope = Literal["body", "helper", "nested"]

# What a live object is to a workflow, with its slug; None when calling it is no step.
KindOf = Callable[[object], tuple[DefinitionKind, str] | None]


@dataclass(frozen=True, slots=True)
class Site:
    """A step call in the source. Lines count from 1; columns are UTF-8 bytes from 0, as in `co_positions`."""

    key: str | None  # None at a dynamic site, whose callee is only met at run time: see `key_for`
    kind: SiteKind
    callee: str | None  # the slug; "sleep", "hook", "prompt-llm" for those; None at a dynamic site
    file: str
    line: int
    col: int
    end_line: int
    end_col: int
    function: str  # qualname of the function or comprehension that the call stands in
    scope: SiteScope  # "nested": in a def, lambda, class or comprehension inside the body or a helper
    ordinal: int = 0  # the how-manieth site of this callee; at a dynamic site, of the dynamic ones

    def key_for(self, slug: str) -> str:
        """The key of a call of `slug` made here."""
        return self.key if self.key is not None else f"{slug}~d{self.ordinal}"


class SiteTable:
    """The sites of one workflow, and the way from a frame to its site.

    `cache` maps `id(code)` to `f_lasti` to the site, for a caller who wants the look-up inline; every code
    object in it is kept alive, so an id is never that of another.
    """

    __slots__ = ("_by_end", "_codes", "cache", "file", "sites", "source", "workflow")

    def __init__(self, workflow: str, source: SourceFile, sites: list[Site]) -> None:
        self.workflow = workflow
        self.source = source
        self.file = source.path
        self.sites = sites
        self.cache: dict[int, dict[int, Site]] = {}
        self._codes: list[CodeType] = []
        self._by_end = {(site.end_line, site.end_col): site for site in sites}

    @property
    def version(self) -> str:
        """A short hash of the file's text."""
        return self.source.version

    def find(self, code: CodeType, lasti: int) -> Site | None:
        """The site of the call under way in a frame, or None when the source shows no step call there."""
        try:
            return self.cache[id(code)][lasti]
        except KeyError:
            return self._locate(code, lasti)

    def _locate(self, code: CodeType, lasti: int) -> Site | None:
        # A starred argument is unpacked by an instruction that carries the position of the whole call, so
        # `b.run(*map(a.run, xs))` would pass for a call of b. Only a call instruction is a call.
        if (
            code.co_filename != self.file
            or lasti < 0
            or not dis.opname[code.co_code[lasti]].startswith("CALL")
        ):
            return None
        _, end_line, _, end_col = next(islice(code.co_positions(), lasti // 2, None))
        if end_line is None or end_col is None:
            return None
        site = self._by_end.get((end_line, end_col))
        if site is not None:
            if id(code) not in self.cache:
                self._codes.append(code)
                self.cache[id(code)] = {}
            self.cache[id(code)][lasti] = site
        return site


def site_table(
    workflow: str,
    function: Callable[..., object],
    *,
    kind_of: KindOf,
    is_context: Callable[[object], bool],
    files: dict[str, SourceFile] | None = None,
) -> SiteTable:
    """The table of the workflow that runs `function`.

    `files` keeps parsed files between calls, so that several workflows of one file parse it once.
    Errors: SourceMissing when the function's source cannot be read or does not hold the function.
    """
    chain = wrapped_chain(function)
    if not chain:
        raise SourceMissing(
            f"workflow {workflow} is not a Python function but {function!r}, so it has no source."
        )
    source = _source(chain[-1], files if files is not None else {})
    walk = _Walk(source, kind_of=kind_of, is_context=is_context)
    if not walk.enter(chain, "body"):
        raise SourceMissing(
            f"{source.path}:{chain[-1].__code__.co_firstlineno} has no function {chain[-1].__name__}, where "
            f"workflow {workflow} was defined. The file changed while it was being loaded: load it again."
        )
    walk.finish()
    return SiteTable(workflow, source, _numbered(walk.found))


def _source(function: FunctionType, files: dict[str, SourceFile]) -> SourceFile:
    path = function.__code__.co_filename
    if path not in files:
        files[path] = SourceFile(path, read_source(function))
    return files[path]


def _numbered(found: list[Site]) -> list[Site]:
    counts: dict[str | None, int] = {}
    sites: list[Site] = []
    for site in sorted(found, key=lambda site: (site.line, site.col, site.end_line, site.end_col)):
        nth = counts[site.callee] = counts.get(site.callee, 0) + 1
        key = site.callee if nth == 1 or site.callee is None else f"{site.callee}~{nth}"
        sites.append(replace(site, key=key, ordinal=nth))
    return sites


class _Walk:
    """Collects sites from the functions it is given and from those they reach."""

    def __init__(self, source: SourceFile, *, kind_of: KindOf, is_context: Callable[[object], bool]) -> None:
        self.found: list[Site] = []
        self._source = source
        self._kind_of = kind_of
        self._is_context = is_context
        self._seen: set[ast.AST] = set()
        self._reached: list[tuple[FunctionNode, FunctionType, str]] = []
        # Of the function being walked:
        self._function: FunctionType
        self._names: Names
        self._part: SiteScope = "body"

    def enter(self, chain: list[FunctionType], scope: SiteScope) -> bool:
        """Walk those functions of a wrapper chain that this file defines; False when it defines none."""
        known = False
        for function in chain:
            if function.__code__.co_filename != self._source.path:
                continue
            node = self._source.definition(function.__code__)
            if node is not None:
                known = True
                self._walk(node, function, function.__qualname__, scope)
        return known

    def finish(self) -> None:
        while self._reached:
            node, function, qualname = self._reached.pop()
            self._walk(node, function, qualname, "helper")

    def _walk(self, node: FunctionNode, function: FunctionType, qualname: str, scope: SiteScope) -> None:
        if node in self._seen:
            return
        self._seen.add(node)
        self._names = Names(function, is_context=self._is_context)
        self._function = function
        self._part = scope
        names = self._names.function_names(node.args, node.body, None)
        self._all(node.body, Scope(names, qualname), nested=False)

    def _all(self, nodes: list[ast.stmt] | list[ast.expr], scope: Scope, *, nested: bool) -> None:
        for node in nodes:
            self._visit(node, scope, nested=nested)

    def _visit(self, node: ast.AST, scope: Scope, *, nested: bool) -> None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._all([*node.decorator_list, *_defaults(node.args)], scope, nested=nested)
                self._nested(node.args, node.body, scope, node.name)
            case ast.Lambda():
                self._all(_defaults(node.args), scope, nested=nested)
                self._nested(node.args, [node.body], scope, "<lambda>")
            case ast.ClassDef():
                self._all([*node.decorator_list, *node.bases], scope, nested=nested)
                self._all([keyword.value for keyword in node.keywords], scope, nested=nested)
                inner = Scope(bindings(node.body), scope.inner_name(node.name), parent=scope, is_class=True)
                self._all(node.body, inner, nested=True)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                self._comprehension(
                    node.generators, [node.elt], scope, _COMPREHENSIONS[type(node)], nested=nested
                )
            case ast.DictComp():
                self._comprehension(
                    node.generators, [node.key, node.value], scope, "<dictcomp>", nested=nested
                )
            case _:
                if isinstance(node, ast.Call):
                    self._call(node, scope, nested=nested)
                elif isinstance(node, ast.Name):
                    self._reach(node.id, scope)
                for child in ast.iter_child_nodes(node):
                    self._visit(child, scope, nested=nested)

    def _nested(
        self, args: ast.arguments, body: list[ast.stmt] | list[ast.expr], scope: Scope, name: str
    ) -> None:
        names = self._names.function_names(args, body, scope)
        self._all(body, Scope(names, scope.inner_name(name), parent=scope), nested=True)

    def _comprehension(
        self,
        generators: list[ast.comprehension],
        results: list[ast.expr],
        scope: Scope,
        name: str,
        *,
        nested: bool,
    ) -> None:
        # The first iterable is evaluated outside, everything else inside.
        self._visit(generators[0].iter, scope, nested=nested)
        names = target_names([generator.target for generator in generators])
        inner = Scope(names, scope.inner_name(name), parent=scope)
        for index, generator in enumerate(generators):
            self._visit(generator.target, inner, nested=True)
            if index:
                self._visit(generator.iter, inner, nested=True)
            self._all(generator.ifs, inner, nested=True)
        self._all(results, inner, nested=True)

    def _call(self, node: ast.Call, scope: Scope, *, nested: bool) -> None:
        match node.func:
            case ast.Attribute(value=receiver, attr="run" | "prompt" as method):
                what = self._method_call(receiver, method, scope)
            case ast.Attribute(value=receiver, attr="sleep" | "hook" as method) if (
                self._names.resolve(receiver, scope) is CONTEXT
            ):
                what = (method, method)
            case callee:
                kind = self._kind(self._names.resolve(callee, scope))
                what = kind if kind is not None and kind[0] == "llm" else None
        if what is not None:
            kind, slug = what
            self.found.append(
                Site(
                    key=None,
                    kind=kind,
                    callee=slug,
                    file=self._source.path,
                    line=node.lineno,
                    col=node.col_offset,
                    end_line=node.end_lineno or node.lineno,
                    end_col=node.end_col_offset or 0,
                    function=scope.qualname,
                    scope="nested" if nested else self._part,
                )
            )

    def _method_call(
        self, receiver: ast.expr, method: Literal["run", "prompt"], scope: Scope
    ) -> tuple[SiteKind, str | None] | None:
        match receiver:
            case ast.Call(func=ast.Attribute(value=scoped, attr="scope")):
                kind = self._kind(self._names.resolve(scoped, scope, importing=True))
                return kind if kind is not None and kind[0] == "action" else ("dynamic", None)
            case _:
                value = self._names.resolve(receiver, scope, importing=True)
        if value is UNKNOWN:
            return ("dynamic", None)
        kind = self._kind(value)
        # A definite object that is no step (subprocess, a web server) has a method of its own by this name.
        return kind if kind is not None and kind[0] in _KINDS_BY_METHOD[method] else None

    def _kind(self, value: object) -> tuple[DefinitionKind, str] | None:
        return None if value is UNKNOWN or value is CONTEXT else self._kind_of(value)

    def _reach(self, name: str, scope: Scope) -> None:
        value = self._names.lookup(name, scope)
        if value is UNKNOWN or value is CONTEXT or self._kind_of(value) is not None:
            return
        by_value = False
        for function in wrapped_chain(value):
            if function.__code__.co_filename == self._source.path:
                node = self._source.definition(function.__code__)
                if node is not None:
                    by_value = True
                    self._reached.append((node, function, function.__qualname__))
        if not by_value and self._function.__globals__.get(name) is value:
            # Behind a decorator that hides the function it wraps.
            for node in self._source.module_level(name):
                self._reached.append((node, self._function, name))


_COMPREHENSIONS = {ast.ListComp: "<listcomp>", ast.SetComp: "<setcomp>", ast.GeneratorExp: "<genexpr>"}
_KINDS_BY_METHOD = {"run": ("action", "workflow"), "prompt": ("agent",)}


def _defaults(args: ast.arguments) -> list[ast.expr]:
    return [*args.defaults, *(default for default in args.kw_defaults if default is not None)]
