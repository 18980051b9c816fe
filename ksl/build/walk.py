"""Walks a workflow's function, and what it reaches in the same file, for step calls."""

from __future__ import annotations

import ast
from collections.abc import Callable
from types import FunctionType
from typing import Literal

from ksl.build.names import CONTEXT, UNKNOWN, Names, Scope, bindings, target_names
from ksl.build.site import DefinitionKind, KindOf, Site, SiteKind, SiteScope
from ksl.build.source import FunctionNode, SourceFile, wrapped_chain


class Walk:
    """Collects sites, unnumbered, from the functions it is given and from those they reach."""

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
