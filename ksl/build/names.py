"""What a name in a workflow's source stands for: a live object, the run's context, or something unknown.

Resolution never runs an author's code: globals and closures are read as they are, attributes through
`inspect.getattr_static`, and a property is unknown rather than evaluated. The one exception is an import
written inside a function, which is carried out when a call on it looks like a step.
"""

from __future__ import annotations

import ast
import builtins
import enum
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, MemberDescriptorType, ModuleType
from typing import Any, Final


class Special(enum.Enum):
    UNKNOWN = "unknown"  # only known when the line runs
    CONTEXT = "context"  # the run's Context
    GLOBAL = "global"  # declared `global` and not assigned here


UNKNOWN: Final = Special.UNKNOWN
CONTEXT: Final = Special.CONTEXT


@dataclass(frozen=True, slots=True)
class LocalImport:
    """An import inside a function: `module` without the dots that `level` counts."""

    module: str
    attribute: str | None
    level: int = 0


Binding = Special | LocalImport
Arguments = ast.arguments


class Scope:
    """The names that a function, lambda, class or comprehension binds, and the scope around it."""

    __slots__ = ("is_class", "names", "parent", "qualname")

    def __init__(
        self, names: dict[str, Binding], qualname: str, *, parent: Scope | None = None, is_class: bool = False
    ) -> None:
        self.names = names
        self.qualname = qualname
        self.parent = parent
        self.is_class = is_class

    def inner_name(self, name: str) -> str:
        """The qualname of something called `name` defined in this scope, as the interpreter writes it."""
        return f"{self.qualname}.{name}" if self.is_class else f"{self.qualname}.<locals>.{name}"


class Names:
    """Resolves expressions of one function: its scopes, then its closure, its globals, the builtins."""

    __slots__ = ("_closure", "_globals", "_is_context")

    def __init__(self, function: FunctionType, *, is_context: Callable[[object], bool]) -> None:
        self._globals = function.__globals__
        self._closure = _closure(function)
        self._is_context = is_context

    def resolve(self, node: ast.expr, scope: Scope, *, importing: bool = False) -> object:
        """The live object, or UNKNOWN, or CONTEXT.

        `importing` carries out an import that stands in the function; otherwise such a name is known only
        when its module is loaded already.
        """
        match node:
            case ast.Name(id=name):
                return self.lookup(name, scope, importing=importing)
            case ast.Attribute(value=value, attr=attr):
                return _attribute(self.resolve(value, scope, importing=importing), attr)
            case ast.NamedExpr(value=value):
                return self.resolve(value, scope, importing=importing)
            case _:
                return UNKNOWN

    def lookup(self, name: str, scope: Scope | None, *, importing: bool = False) -> object:
        here = scope
        while here is not None:
            # A class body's names are seen by the class body itself, not by the methods in it.
            if name in here.names and (here is scope or not here.is_class):
                binding = here.names[name]
                if binding is Special.GLOBAL:
                    break
                return self._imported(binding, importing) if isinstance(binding, LocalImport) else binding
            here = here.parent
        else:
            if name in self._closure:
                return self._closure[name]
        # None is what a module holds before somebody fills it in: not yet a definite object.
        value = self._globals.get(name, getattr(builtins, name, UNKNOWN))
        return UNKNOWN if value is None else value

    def function_names(
        self, args: Arguments, body: list[ast.stmt] | list[ast.expr], scope: Scope | None
    ) -> dict[str, Binding]:
        """What a function binds: its parameters and everything assigned or imported in it."""
        names = bindings(body)
        for arg in [*args.posonlyargs, *args.args, *args.kwonlyargs]:
            names[arg.arg] = CONTEXT if self._means_context(arg, scope) else UNKNOWN
        for rest in (args.vararg, args.kwarg):
            if rest is not None:
                names[rest.arg] = UNKNOWN
        return names

    def _means_context(self, arg: ast.arg, scope: Scope | None) -> bool:
        # A parameter without annotation is taken by its usual name, so that a plain helper(ctx) works.
        return (
            arg.arg in ("ctx", "context")
            if arg.annotation is None
            else self._names_context(arg.annotation, scope)
        )

    def _names_context(self, node: ast.expr, scope: Scope | None) -> bool:
        match node:
            case ast.Constant(value=str(text)):
                try:
                    return self._names_context(ast.parse(text, mode="eval").body, scope)
                except SyntaxError:
                    return False
            case ast.BinOp(left=left, right=right):
                return self._names_context(left, scope) or self._names_context(right, scope)
            case ast.Subscript(slice=ast.Tuple(elts=elements)):
                return any(self._names_context(element, scope) for element in elements)
            case ast.Subscript(slice=inner):
                return self._names_context(inner, scope)
            case ast.Name() | ast.Attribute():
                found = self.resolve(node, scope or Scope({}, ""))
                if found is UNKNOWN:  # imported under `if TYPE_CHECKING:`
                    return (node.id if isinstance(node, ast.Name) else node.attr) == "Context"
                return self._is_context(found)
            case _:
                return False

    def _imported(self, binding: LocalImport, importing: bool) -> object:
        try:
            module = self._module("." * binding.level + binding.module, importing)
            if binding.attribute is None:
                return module
            found = _attribute(module, binding.attribute)
            if found is UNKNOWN:  # `from package import submodule`
                return self._module(f"{module.__name__}.{binding.attribute}", importing)
            return found
        except (Exception, SystemExit):  # it may fail at run time too, and is reported there at its own line
            return UNKNOWN

    def _module(self, name: str, importing: bool) -> ModuleType:
        absolute = importlib.util.resolve_name(name, self._globals.get("__package__"))
        return importlib.import_module(absolute) if importing else sys.modules[absolute]


def bindings(body: list[ast.stmt] | list[ast.expr]) -> dict[str, Binding]:
    """Names bound by these statements in their own scope; nested functions and classes count by name only."""
    names: dict[str, Binding] = {}
    for node in body:
        _collect(node, names)
    return names


def target_names(targets: list[ast.expr]) -> dict[str, Binding]:
    return {node.id: UNKNOWN for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}


def _collect(node: ast.AST, names: dict[str, Binding]) -> None:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            _bind(names, name, UNKNOWN)
            return
        case ast.Lambda():
            return
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            # Its own targets stay inside; a walrus in it binds out here.
            for inner in ast.walk(node):
                if isinstance(inner, ast.NamedExpr):
                    _bind(names, inner.target.id, UNKNOWN)
            return
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            _bind(names, name, UNKNOWN)
        case ast.Import(names=aliases):
            for alias in aliases:
                top = alias.name.partition(".")[0]
                _bind(names, alias.asname or top, LocalImport(alias.name if alias.asname else top, None))
        case ast.ImportFrom(module=module, names=aliases, level=level):
            for alias in aliases:
                _bind(names, alias.asname or alias.name, LocalImport(module or "", alias.name, level))
        case ast.Global(names=declared):
            for name in declared:
                _bind(names, name, Special.GLOBAL)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            _bind(names, name, UNKNOWN)
        case ast.MatchMapping(rest=str(name)):
            _bind(names, name, UNKNOWN)
        case _:
            pass
    for child in ast.iter_child_nodes(node):
        _collect(child, names)


def _bind(names: dict[str, Binding], name: str, binding: Binding) -> None:
    # Bound in two ways, only the run knows which one holds.
    names[name] = binding if names.get(name, binding) == binding else UNKNOWN


def _attribute(value: object, name: str) -> object:
    if isinstance(value, Special):
        return UNKNOWN
    try:
        found = inspect.getattr_static(value, name)
    except (AttributeError, TypeError):
        return UNKNOWN
    if isinstance(found, MemberDescriptorType) and not isinstance(value, type):
        try:
            return found.__get__(value, type(value))  # a slot: reading it runs nobody's code
        except AttributeError:
            return UNKNOWN
    if isinstance(found, staticmethod):
        return found.__func__
    return UNKNOWN if isinstance(found, property | classmethod) or found is None else found


def _closure(function: FunctionType) -> Mapping[str, object]:
    cells: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            cells[name] = cell.cell_contents
        except ValueError:  # assigned later
            cells[name] = UNKNOWN
    return cells
