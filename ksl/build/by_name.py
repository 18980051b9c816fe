"""A project read without running any of its code: definitions are told by their decorators, imports by their paths.

What a name stands for is known where it is a function, an action, a workflow or an agent of the project, a
module of it, or something of ksl or the standard library; all else is unknown until it is imported for real.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from ksl.build.loader import ProjectFinder, SourceLoader
from ksl.build.site import DefinitionKind
from ksl.define.action import action
from ksl.define.poll import PollSource
from ksl.define.slug import slug_of
from ksl.define.workflow import workflow

_UNKNOWN = object()
_AGENT = object()  # the class of agents, by its name


@dataclass(frozen=True, eq=False)
class ByName:
    """An action, a workflow or an agent, as far as its source tells."""

    kind: DefinitionKind
    slug: str
    function: FunctionType | None
    credentials: tuple[()] = ()


class ReadingFinder(ProjectFinder):
    """Finds every module of the project, also beside its folders, and reads it instead of running it."""

    def __init__(self, root: Path, folders: Sequence[str]) -> None:
        super().__init__(root, folders)
        self.polls: list[FunctionType] = []  # what poll sources run
        self._there = {name.partition(".")[0] for name in sys.modules}

    def owns(self, name: str) -> bool:
        if super().owns(name):
            return True
        if name.partition(".")[0] in self._there:
            return False  # the project may lie where this very program does
        place = self.root.joinpath(*name.split("."))
        return place.is_dir() or place.with_name(f"{place.name}.py").is_file()

    def _spec(self, name: str, file: Path, *, folder: Path | None) -> ModuleSpec:
        spec = importlib.util.spec_from_file_location(
            name,
            file,
            loader=ReadingLoader(name, str(file), self.sources),
            submodule_search_locations=None if folder is None else [str(folder)],
        )
        assert spec is not None
        return spec


class ReadingLoader(SourceLoader):
    def exec_module(self, module: ModuleType) -> None:
        self._sources.pop(self.path, None)
        code = self.get_code(module.__name__)
        _Reader(module, code, self).read(ast.parse(self.get_source(module.__name__)).body)


class _Reader:
    """Fills a module with what its statements define, in their order."""

    def __init__(self, module: ModuleType, code: CodeType, loader: SourceLoader) -> None:
        self._names = module.__dict__
        self._package = str(module.__package__)
        self._codes = {
            (each.co_firstlineno, each.co_name): each for each in code.co_consts if isinstance(each, CodeType)
        }

    def read(self, body: list[ast.stmt]) -> None:
        for node in body:
            match node:
                case ast.Import(names=aliases):
                    for alias in aliases:
                        self._import(alias.name, alias.asname)
                case ast.ImportFrom(module=module, names=aliases, level=level):
                    self._import_from("." * level + (module or ""), aliases)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self._define(node)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._bind(name, self._made(value, name))
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    self._bind(name, self._made(value, name))
                case ast.ClassDef(name=name):
                    self._bind(name, _UNKNOWN)
                case ast.Expr(value=value):
                    self._poll(value)
                case _:
                    for inner in _inside(node):
                        self.read(inner)

    def _import(self, name: str, alias: str | None) -> None:
        module = _known_module(name)
        if module is not None:
            top = name.partition(".")[0]
            self._bind(alias or top, module if alias else sys.modules[top])

    def _import_from(self, name: str, aliases: list[ast.alias]) -> None:
        absolute = importlib.util.resolve_name(name, self._package)
        module = _known_module(absolute)
        for alias in aliases:
            if alias.name == "*":
                public = {} if module is None else vars(module)
                for each, value in list(public.items()):
                    if not each.startswith("_"):
                        self._bind(each, value)
            elif absolute == "ksl" and alias.name == "Agent":
                self._bind(alias.asname or alias.name, _AGENT)
            elif module is not None:
                value = _member(module, alias.name)
                if value is _UNKNOWN and hasattr(module, "__path__"):
                    value = _known_module(f"{absolute}.{alias.name}") or _UNKNOWN
                self._bind(alias.asname or alias.name, value)

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        code = self._codes.get((first, node.name))
        if code is None:
            return
        function = FunctionType(code, self._names, node.name)
        function.__module__ = str(self._names.get("__name__"))
        value: object = function
        for decorator in reversed(node.decorator_list):
            call = decorator if isinstance(decorator, ast.Call) else None
            kind = self._kind(decorator if call is None else call.func)
            if kind is not None:
                value = ByName(kind, _slug(call, node.name), function)
        self._bind(node.name, value)

    def _poll(self, node: ast.expr) -> None:
        """What a poll source runs, made here or on the way to what is called: `PollSource(...).attach(...)`."""
        finder = _finder()
        for call in ast.walk(node):
            if finder is not None and isinstance(call, ast.Call) and self._value(call.func) is PollSource:
                given = [*call.args[2:3], *(word.value for word in call.keywords if word.arg == "run")]
                finder.polls += [run for run in map(self._value, given) if isinstance(run, FunctionType)]

    def _made(self, node: ast.expr, name: str) -> object:
        self._poll(node)
        if not isinstance(node, ast.Call):
            return self._value(node)
        if self._value(node.func) is _AGENT:
            return ByName("agent", _slug(node, name), None)
        kind = self._kind(node.func)
        function = self._value(node.args[0]) if kind is not None and node.args else None
        if kind is not None and isinstance(function, FunctionType):
            return ByName(kind, _slug(node, function.__name__), function)
        return _UNKNOWN

    def _kind(self, node: ast.expr) -> DefinitionKind | None:
        value = self._value(node)
        return "action" if value is action else "workflow" if value is workflow else None

    def _value(self, node: ast.expr) -> object:
        match node:
            case ast.Name(id=name):
                return self._names.get(name, _UNKNOWN)
            case ast.Attribute(value=inner, attr=name):
                around = self._value(inner)
                if name == "Agent" and getattr(around, "__name__", "") == "ksl":
                    return _AGENT
                return _UNKNOWN if around is _UNKNOWN else _member(around, name)
            case _:
                return _UNKNOWN

    def _bind(self, name: str, value: object) -> None:
        if value is _UNKNOWN:
            self._names.pop(name, None)
        else:
            self._names[name] = value


def _known_module(name: str) -> ModuleType | None:
    """A module of the project, of ksl, or one of the standard library that is in use anyway."""
    top = name.partition(".")[0]
    finder = _finder()
    if finder is not None and finder.owns(top):
        return importlib.import_module(name)
    if top == "ksl" or top in sys.stdlib_module_names:
        return sys.modules.get(name)
    return None


def _finder() -> ReadingFinder | None:
    return next((each for each in sys.meta_path if isinstance(each, ReadingFinder)), None)


def _member(value: object, name: str) -> object:
    if isinstance(value, ModuleType) and value.__name__.partition(".")[0] == "ksl":
        return getattr(value, name, _UNKNOWN)  # which it loads when it is asked for
    return inspect.getattr_static(value, name, _UNKNOWN)


def _slug(call: ast.Call | None, name: str) -> str:
    for keyword in call.keywords if call is not None else ():
        if keyword.arg == "slug" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return slug_of(name)


def _inside(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of an `if`, `try` or `with` at module level; of alternatives the last one counts."""
    for field in ("orelse", "body", "finalbody"):
        yield getattr(node, field, [])
    for handler in getattr(node, "handlers", []):
        yield handler.body
