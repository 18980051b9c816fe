"""A file as the rules read it: who stands in whom, what each name means, and where steps are called."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType
from typing import Literal, TypeGuard

from ksl.build.canvas.blocks import Canvas, Range
from ksl.build.names import CONTEXT, UNKNOWN, Binding, Names, Scope, bindings, target_names
from ksl.build.rules.diagnostic import Lines
from ksl.build.site import DefinitionKind, KindOf, Site, SiteKind
from ksl.build.source import FunctionNode, SourceFile, wrapped_chain

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

Head = tuple[str, int]  # of a function: its file, and the first line of its definition

# Where a step is called: in a function that the canvas draws; in something inside one, or at module level,
# in a class or a default; in a function of a workflow's file that no workflow reaches, or of a file that a poll
# runs, where it is executed at once; in the function of an action; in a file without workflows and polls.
Where = Literal["drawn", "hidden", "unreached", "action", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Step:
    """A step call. `slug` is None where only the run knows what is called."""

    call: ast.Call
    kind: SiteKind
    slug: str | None
    where: Where

    @property
    def name(self) -> str:
        if self.slug is None:
            return "this step"
        return f"{self.kind} {self.slug}" if self.kind in ("agent", "workflow") else f"step {self.slug}"


class Reading:
    """One file. `sites` are those of its workflows, `canvases` what is drawn of them, `undrawn` the functions of
    those that could not be; `bodies` the functions of workflows, `actions` of actions, and `polls` of polls."""

    def __init__(
        self,
        source: SourceFile,
        namespace: dict[str, object],
        *,
        file: str,
        sites: list[Site],
        bodies: list[FunctionType],
        actions: list[FunctionType],
        kind_of: KindOf,
        is_context: object,
        polls: Sequence[FunctionType] = (),
        canvases: Sequence[Canvas] = (),
        undrawn: Sequence[FunctionType] = (),
    ) -> None:
        self.source = source
        self.lines = Lines(source.text)
        self.file = file
        self.namespace = namespace
        self.kind_of = kind_of
        self._names = Names(
            FunctionType((lambda: None).__code__, namespace),
            is_context=lambda value: value is is_context,
        )
        self.parents: dict[ast.AST, ast.AST] = {}
        self._owners: dict[ast.AST, ast.AST] = {}
        self._resolved: dict[ast.AST, object] = {}
        self._scopes: dict[ast.AST, Scope] = {}  # of nodes that have one of their own
        self._outside: set[ast.AST] = set()  # nodes below a scope's node that are evaluated around it
        self.nodes = self._link()
        self.bodies = self._definitions(bodies)
        self.action_functions = set(self._definitions(actions))
        self._has_polls = bool(polls)
        self.helpers: dict[FunctionNode, list[ast.Name]] = {}  # with the places that name them
        self._reach_helpers()
        self._sites = {(site.end_line, site.end_col): site for site in sites}
        self.steps = list(self._steps())
        self.has_workflows = bool(self.bodies)
        self.canvases = canvases
        self.undrawn = self._definitions([*undrawn])
        self.outside: frozenset[Head] = (
            frozenset()
        )  # functions of all files that call steps outside of workflows

    # The tree

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around this one, innermost first."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def owner(self, node: ast.AST) -> ast.AST:
        """The innermost function, lambda, class, comprehension or module that evaluates the node."""
        # Every node is asked about while the tree is linked, its parent before it.
        known = self._owners.get(node)
        if known is not None:
            return known
        parent = self.parents.get(node, node)
        owner = parent if parent in self._scopes else self.owner(parent)
        if node in self._outside:
            owner = self.owner(owner)
        self._owners[node] = owner
        return owner

    def function(self, node: ast.AST) -> ast.AST:
        """Like `owner`, through comprehensions."""
        owner = self.owner(node)
        while isinstance(owner, Comprehension):
            owner = self.owner(owner)
        return owner

    def statement(self, node: ast.AST) -> ast.AST:
        """The innermost statement around an expression."""
        return next((each for each in (node, *self.above(node)) if isinstance(each, ast.stmt)), node)

    def within(self, node: ast.AST, *, of: ast.AST | None = None) -> Iterator[ast.AST]:
        """Everything below a node that the same function evaluates; nested functions are left out."""
        owner = self.function(node) if of is None else of
        pending = [node]
        while pending:
            each = pending.pop()
            yield each
            for child in ast.iter_child_nodes(each):
                if each in self._scopes and not isinstance(each, Comprehension) and each is not owner:
                    if child not in self._outside:
                        continue
                pending.append(child)

    def shown(self, node: ast.expr) -> str:
        """The expression on one line, cut where nobody would read on."""
        try:
            text = ast.unparse(node).replace("\n", " ")
        except RecursionError:  # an expression thousands deep
            return "…"
        return text if len(text) <= 80 else text[:79] + "…"

    # What names mean

    def resolve(self, node: ast.expr) -> object:
        """The live object, UNKNOWN or CONTEXT."""
        if node not in self._resolved:
            self._resolved[node] = self._names.resolve(node, self._scopes[self.owner(node)])
        return self._resolved[node]

    def kind(self, node: ast.expr) -> tuple[DefinitionKind, str] | None:
        """The kind and slug of the action, workflow or agent that an expression stands for."""
        value = self.resolve(node)
        return None if value is UNKNOWN or value is CONTEXT else self.kind_of(value)

    def helper(self, node: ast.AST) -> FunctionNode | None:
        """The function of this file, reached by a workflow, that a name or its call stands for."""
        if isinstance(node, ast.Call):
            node = node.func
        return self._helper_by_name.get(node) if isinstance(node, ast.Name) else None

    # Where steps are

    def is_drawn(self, node: ast.AST) -> TypeGuard[FunctionNode]:
        return node in self.helpers or node in self._bodies_set

    def stands_in_drawn(self, node: ast.AST) -> bool:
        """Evaluated by a workflow's function or a helper of it, not by something nested in one."""
        return self.is_drawn(self.function(node))

    def drawn_function(self, node: ast.AST) -> FunctionNode | None:
        """The workflow's function or helper that a node stands in, however deep."""
        around = self.above(node)
        return next((each for each in around if isinstance(each, FunctionNode) and self.is_drawn(each)), None)

    def reached_from(self, body: FunctionNode) -> set[FunctionNode]:
        """A workflow's function and the helpers that it calls, directly or not."""
        reached = {body}
        grown = True
        while grown:
            found = {
                helper
                for helper, names in self.helpers.items()
                if helper not in reached and any(self.drawn_function(name) in reached for name in names)
            }
            reached |= found
            grown = bool(found)
        return reached

    def drawn(self) -> Iterator[FunctionNode]:
        yield from self.bodies
        yield from (each for each in self.helpers if each not in self._bodies_set)

    @cached_property
    def drawn_nodes(self) -> list[ast.AST]:
        """What workflows and their helpers evaluate themselves."""
        return [
            node
            for function in self.drawn()
            for statement in function.body
            for node in self.within(statement, of=function)
        ]

    @cached_property
    def generators(self) -> set[ast.AST]:
        """The functions of `drawn` that yield."""
        yields = (node for node in self.drawn_nodes if isinstance(node, ast.Yield | ast.YieldFrom))
        return {self.function(node) for node in yields}

    @cached_property
    def loads(self) -> dict[str, list[ast.Name]]:
        """Where names are read, by name."""
        found: dict[str, list[ast.Name]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found.setdefault(node.id, []).append(node)
        return found

    @cached_property
    def loops(self) -> set[tuple[ast.AST, str]]:
        """The functions and names that hold asyncio's loop."""
        return {
            (self.function(node), node.targets[0].id)
            for node in self.nodes
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            if isinstance(node.value, ast.Call)
            for made in (self.resolve(node.value.func),)
            if made is asyncio.get_running_loop or made is asyncio.get_event_loop
        }

    def drawn_steps(self) -> Iterator[Step]:
        """Steps of the canvas that are known to be one."""
        return (step for step in self.steps if step.where == "drawn" and step.kind != "dynamic")

    def outside_functions(self) -> Iterator[Head]:
        """The functions here that call steps, themselves or by one another, where no workflow is."""
        calling = {self.function(step.call) for step in self.steps if step.where == "elsewhere"}
        names = {each.name for each in calling if isinstance(each, FunctionNode)}
        found: set[str] = set()
        while names - found:
            found |= names
            readers = [self.function(load) for name in found for load in self.loads.get(name, [])]
            names = {each.name for each in readers if isinstance(each, FunctionNode)}
        for node in self.source.tree.body:
            if isinstance(node, FunctionNode) and node.name in found:
                yield (self.source.path, min([node.lineno, *(each.lineno for each in node.decorator_list)]))

    def outside_function(self, call: ast.Call) -> FunctionType | None:
        """Which of the functions that run steps outside of workflows is called here."""
        for function in wrapped_chain(self.resolve(call.func)) if self.outside else ():
            if (function.__code__.co_filename, function.__code__.co_firstlineno) in self.outside:
                return function
        return None

    def call_at(self, at: Range) -> ast.Call | None:
        return self._calls.get(at)

    def drawn_calls(self) -> Iterator[tuple[ast.Call, str]]:
        """The calls of steps, and of helpers with steps, that the canvas should show, with what they call."""
        for step in self.drawn_steps():
            yield step.call, step.name
        for helper, names in self.helpers.items():
            if self.has_steps(helper):
                for name in names:
                    parent = self.parents[name]
                    if isinstance(parent, ast.Call) and parent.func is name and self.stands_in_drawn(parent):
                        yield parent, f"{helper.name}()"

    def step_at(self, at: Range) -> Step | None:
        return self._steps_by_call.get(self._calls.get(at))

    def runs_steps(self, node: ast.AST) -> bool:
        """True where a step, or a helper with steps, is called in or below the node."""
        return any(
            each in self._step_calls or ((helper := self.helper(each)) is not None and self.has_steps(helper))
            for each in self.within(node)
            if isinstance(each, ast.Call)
        )

    @cached_property
    def _calls(self) -> dict[Range, ast.Call]:
        return {Range.of(node): node for node in self.nodes if isinstance(node, ast.Call)}

    @cached_property
    def _steps_by_call(self) -> dict[ast.Call | None, Step]:
        return {step.call: step for step in self.steps}

    @cached_property
    def _bodies_set(self) -> set[ast.AST]:
        return set(self.bodies)

    @cached_property
    def _helper_by_name(self) -> dict[ast.AST, FunctionNode]:
        return {name: helper for helper, names in self.helpers.items() for name in names}

    @cached_property
    def _step_calls(self) -> set[ast.AST]:
        return {step.call for step in self.steps if step.kind != "dynamic"}

    @cached_property
    def _helpers_with_steps(self) -> set[FunctionNode]:
        found: set[FunctionNode] = set()
        for step in self.steps:
            if step.kind != "dynamic":
                found.update(self._helpers_around(step.call))
        pending = list(found)
        while pending:
            helper = pending.pop()
            for name in self.helpers[helper]:
                for each in self._helpers_around(name):
                    if each not in found:
                        found.add(each)
                        pending.append(each)
        return found

    def _helpers_around(self, node: ast.AST) -> list[FunctionNode]:
        around = self.above(node)
        return [each for each in around if isinstance(each, FunctionNode) and each in self.helpers]

    def has_steps(self, helper: FunctionNode) -> bool:
        return helper in self._helpers_with_steps

    def _link(self) -> list[ast.AST]:
        """Parents and scopes, without recursion: a long expression is a deep tree."""
        order: list[ast.AST] = []
        self._scopes[self.source.tree] = Scope({}, "<module>")
        pending: list[ast.AST] = [self.source.tree]
        while pending:
            node = pending.pop()
            order.append(node)
            self.owner(node)
            if node is not self.source.tree:
                self._open(node)
            for child in ast.iter_child_nodes(node):
                if not isinstance(child, _SHARED):  # one object for the whole tree
                    self.parents[child] = node
                    pending.append(child)
        return order

    def _open(self, node: ast.AST) -> None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                around: list[ast.AST | None] = [*node.decorator_list, node.args, node.returns]
                self._function_scope(node, node.args, node.body, node.name)
            case ast.Lambda():
                around = [node.args]
                self._function_scope(node, node.args, [node.body], "<lambda>")
            case ast.ClassDef():
                around = [*node.decorator_list, *node.bases, *node.keywords]
                outer = self._scopes[self.owner(node)]
                parent = None if outer.qualname == "<module>" else outer
                self._scopes[node] = Scope(_bindings(node.body), node.name, parent=parent, is_class=True)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                around = [node.generators[0].iter]
                names = target_names([generator.target for generator in node.generators])
                outer = self._scopes[self.owner(node)]
                parent = None if outer.qualname == "<module>" else outer
                self._scopes[node] = Scope(names, outer.qualname, parent=parent)
            case _:
                return
        self._outside.update(each for each in around if each is not None)

    def _function_scope(
        self, node: ast.AST, args: ast.arguments, body: list[ast.stmt] | list[ast.expr], name: str
    ) -> None:
        outer = self._scopes[self.owner(node)]
        # The names of the module itself are looked up in the live module.
        parent = None if outer.qualname == "<module>" else outer
        try:
            names = self._names.function_names(args, body, parent)
        except RecursionError:  # an expression thousands deep
            names = {}
        self._scopes[node] = Scope(names, name, parent=parent)

    def _definitions(self, functions: list[FunctionType]) -> list[FunctionNode]:
        found: list[FunctionNode] = []
        for function in functions:
            for each in wrapped_chain(function):
                node = None
                if each.__code__.co_filename == self.source.path:
                    node = self.source.definition(each.__code__)
                if node is not None and node not in found:
                    found.append(node)
        return found

    def _reach_helpers(self) -> None:
        pending = list(self.bodies)
        while pending:
            function = pending.pop()
            for node in _below(function.body):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    for helper in self._helpers_named(node):
                        if helper not in self.helpers:
                            self.helpers[helper] = []
                            if helper not in self.bodies:
                                pending.append(helper)
                        self.helpers[helper].append(node)

    def _helpers_named(self, node: ast.Name) -> list[FunctionNode]:
        value = self.resolve(node)
        if value is UNKNOWN or value is CONTEXT or self.kind_of(value) is not None:
            return []
        found = self._definitions([value]) if isinstance(value, FunctionType) else []
        if not found and wrapped_chain(value):
            found = self._definitions(wrapped_chain(value))
        return found

    def _steps(self) -> Iterator[Step]:
        for node in self.nodes:
            if isinstance(node, ast.Call):
                site = self._sites.get((node.end_lineno or 0, node.end_col_offset or 0))
                if site is not None and (site.line, site.col) == (node.lineno, node.col_offset):
                    yield Step(node, site.kind, site.callee, self._where(node))
                elif site is None and isinstance(node.func, ast.Attribute):
                    known = self.method_kind(node.func)
                    if known is not None:
                        yield Step(node, known[0], known[1], self._where(node))

    def method_kind(self, node: ast.Attribute) -> tuple[DefinitionKind, str] | None:
        """What `X.run` or `X.prompt` calls, where that is certain."""
        if node.attr not in ("run", "prompt"):
            return None
        receiver = node.value
        match receiver:
            case ast.Call(func=ast.Attribute(value=scoped, attr="scope")):
                known = self.kind(scoped)
            case _:
                known = self.kind(receiver)
        if known is None or (known[0] == "agent") != (node.attr == "prompt"):
            return None
        return known if known[0] in ("action", "workflow", "agent") else None

    def _where(self, node: ast.AST) -> Where:
        escapes = hidden = False
        inside: list[ast.AST] = []
        for parent in (node, *self.above(node)):
            if parent in self._scopes and not isinstance(parent, Comprehension | ast.Module):
                if escapes:
                    hidden = True  # a default, a decorator, a base class
                else:
                    inside.append(parent)
            if parent in self._scopes:
                escapes = False
            escapes = escapes or parent in self._outside
        if inside and self.is_drawn(inside[0]) and not hidden:
            return "drawn"
        if any(self.is_drawn(each) for each in inside):
            return "hidden"
        if any(each in self.action_functions for each in inside):
            return "action"
        if any(_is_main_guard(each) for each in self.above(node)):
            return "unreached"  # for when the file is run by itself, outside any run
        functions = [each for each in inside if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        plain = len(functions) == len(inside) and not hidden
        if functions and plain and (self.bodies or self._has_polls):
            return "unreached"
        return "hidden" if self.bodies else "elsewhere"


def _is_main_guard(node: ast.AST) -> bool:
    match node:
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
        case _:
            return False


def _below(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        yield from ast.walk(statement)


_SHARED = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)


def _bindings(body: list[ast.stmt]) -> dict[str, Binding]:
    try:
        return bindings(body)
    except RecursionError:
        return {}
