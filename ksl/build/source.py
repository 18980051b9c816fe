"""A file of the project as text and tree: read once, shared by everything that looks at it."""

from __future__ import annotations

import ast
import hashlib
import linecache
from collections.abc import Iterator
from types import CodeType, FunctionType

from ksl.errors import SourceMissing

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class SourceFile:
    """The parsed text of one file, with its functions by place.

    The text is the one the running code was compiled from, not what the disk holds now: a file edited
    after it was loaded must not move the positions under a live run.
    """

    __slots__ = ("_by_name", "_by_place", "path", "text", "tree", "version")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.tree = ast.parse(text, filename=path)
        self.version = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        self._by_place: dict[tuple[int, str], FunctionNode] = {}
        self._by_name: dict[str, list[FunctionNode]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._by_place[first_line(node), node.name] = node
        for node in _module_level(self.tree.body):
            self._by_name.setdefault(node.name, []).append(node)

    def definition(self, code: CodeType) -> FunctionNode | None:
        """The `def` that `code` was compiled from."""
        return self._by_place.get((code.co_firstlineno, code.co_name))

    def module_level(self, name: str) -> list[FunctionNode]:
        """Every `def` of that name outside functions and classes; several when it stands in an if/else."""
        return self._by_name.get(name, [])


def first_line(node: FunctionNode) -> int:
    """The line that `co_firstlineno` holds: the first decorator's where there is one."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def wrapped_chain(value: object) -> list[FunctionType]:
    """The functions behind `value`, outermost first, through `functools.wraps`.

    Looks only into `__dict__`: a lazy or mocked object is not asked for attributes it would invent.
    """
    chain: list[FunctionType] = []
    seen: set[int] = set()
    while id(value) not in seen:
        seen.add(id(value))
        if isinstance(value, FunctionType):
            chain.append(value)
        try:
            inner = object.__getattribute__(value, "__dict__").get("__wrapped__")
        except AttributeError:
            break
        if inner is None:
            break
        value = inner
    return chain


def read_source(function: FunctionType) -> str:
    """The text that `function` was compiled from. Errors: SourceMissing."""
    path = function.__code__.co_filename
    namespace = function.__globals__
    loader = namespace.get("__loader__")
    get_source = getattr(loader, "get_source", None)
    if get_source is not None and namespace.get("__file__") == path:
        try:
            text = get_source(getattr(loader, "name", namespace.get("__name__")))
        except (ImportError, OSError, SyntaxError):
            text = None
        if isinstance(text, str):
            return text
    linecache.checkcache(path)
    lines = linecache.getlines(path, namespace)
    if not lines:
        raise SourceMissing(
            f"{path}:{function.__code__.co_firstlineno} the source of {function.__qualname__} is missing. "
            "Step ids come from it, so a workflow must be written in a .py file that ksl can read; "
            "code built by exec or shipped only as bytecode cannot run as a workflow."
        )
    return "".join(lines)


def _module_level(body: list[ast.stmt]) -> Iterator[FunctionNode]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif not isinstance(node, ast.ClassDef):
            for field in ("body", "orelse", "handlers", "finalbody"):
                for inner in getattr(node, field, []):
                    yield from _module_level(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])
