"""Calls whose coroutine or handle is kept in a variable: where they are to be drawn.

`h = ctx.hook()` and `x = a.run()` are drawn where the variable is awaited, if there is exactly one such place
and it is reached at most once for each call.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.canvas.forms import takes_steps
from ksl.build.canvas.reached import Frame

_REPEATS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def awaited_once(name: str, statement: ast.stmt, frame: Frame, *, is_hook: bool) -> bool:
    """Whether what `statement` stores under this name can be drawn where it is awaited.

    A hook's handle may also be read in between, for its URL; other coroutines are used that one time only.
    """
    loads = frame.loads.get(name, [])
    taken = [load for load in loads if _is_taken(load, frame)]
    if frame.stores[name] != 1 or len(taken) != 1 or (len(loads) != 1 and not is_hook):
        return False
    load = taken[0]
    if (load.lineno, load.col_offset) <= (statement.end_lineno or 0, statement.end_col_offset or 0):
        return False
    around_store = [node for node in _above(statement, frame) if isinstance(node, _REPEATS)]
    between = [node for node in _above(load, frame) if isinstance(node, (*_REPEATS, *_DEFINES))]
    return [node for node in between if node is not frame.node] == around_store


def is_used(name: str, frame: Frame) -> bool:
    return bool(frame.loads.get(name))


def _is_taken(load: ast.Name, frame: Frame) -> bool:
    node: ast.AST = frame.parents[load]
    while isinstance(node, ast.Starred | ast.List | ast.Tuple | ast.Set):
        node = frame.parents[node]
    return isinstance(node, ast.Await) or takes_steps(node, frame)


def _above(node: ast.AST, frame: Frame) -> Iterator[ast.AST]:
    while node in frame.parents and node is not frame.node:
        node = frame.parents[node]
        yield node
