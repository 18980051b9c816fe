"""Calls whose arguments may be step calls, and what becomes of a step call's value."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from typing import Literal

from ksl.build.names import UNKNOWN
from ksl.build.rules.reading import Comprehension, Reading
from ksl.define.parallel import as_completed, bounded

_TAKERS: tuple[object, ...] = (
    asyncio.gather,
    asyncio.shield,
    asyncio.wait_for,
    asyncio.wait,
    asyncio.as_completed,
    asyncio.create_task,
    asyncio.ensure_future,
    as_completed,
    bounded,
)


def takes_steps(file: Reading, call: ast.Call) -> bool:
    """True for what runs the step calls that are its arguments: gather, a task group's create_task, bounded."""
    if any(file.resolve(call.func) is each for each in _TAKERS):
        return True
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("create_task", "ensure_future")


def makes_task(file: Reading, call: ast.Call) -> Literal["group", "detached"] | None:
    """Whether the call starts a task, and whether something is sure to wait for it."""
    made_by = file.resolve(call.func)
    if made_by is asyncio.create_task or made_by is asyncio.ensure_future:
        return "detached"
    if isinstance(call.func, ast.Attribute) and call.func.attr in ("create_task", "ensure_future"):
        receiver = call.func.value
        if isinstance(receiver, ast.Name) and file.resolve(receiver) is UNKNOWN:
            return "detached" if (file.function(receiver), receiver.id) in file.loops else "group"
        return "detached"
    return None


def calls_around(file: Reading, node: ast.AST) -> Iterator[ast.Call]:
    """The calls that have the node in their arguments, innermost first, up to the function's edge."""
    child = node
    for parent in file.above(node):
        if isinstance(parent, ast.stmt | ast.Lambda):
            return
        if isinstance(parent, ast.Call) and child is not parent.func:
            yield parent
        child = parent


def comprehension_around(file: Reading, node: ast.AST) -> Comprehension | None:
    """The outermost comprehension that evaluates the node for each of its elements."""
    found: Comprehension | None = None
    owner = file.owner(node)
    while isinstance(owner, Comprehension):
        found = owner
        owner = file.owner(owner)
    return found


def loads(file: Reading, name: str, *, around: ast.AST) -> list[ast.Name]:
    """Where the function around a node reads a name, nested functions included."""
    function = file.function(around)
    return [each for each in file.loads.get(name, []) if function in file.above(each)]
