"""`async with asyncio.TaskGroup()`: a lane for each task, and one for what the body itself awaits."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from ksl.build.canvas.blocks import Block, Lane, Range, ends
from ksl.build.canvas.draft import unparsed
from ksl.build.canvas.expressions import decision, parallel
from ksl.build.canvas.forms import form_of

if TYPE_CHECKING:
    from ksl.build.canvas.statements import Statements


def group_lanes(
    drawing: Statements, node: ast.With | ast.AsyncWith, inner: Callable[[], list[Block] | None]
) -> list[Block]:
    """`inner` draws what further managers of the same `with` statement make of the body, if there are any."""
    further = inner()
    if further is not None:
        lanes = [Lane("body", tuple(further), Range.of(node))] if further else []
        return parallel("task group", "", lanes, node)
    lanes: list[Lane] = []
    body: list[Block] = []
    for statement in node.body:
        tasks = _tasks(drawing, statement)
        if tasks is None and isinstance(statement, ast.If) and _only_tasks(drawing, statement):
            blocks = _conditional(drawing, statement)
            if blocks:
                lanes.append(Lane("", tuple(blocks), Range.of(statement)))
            continue
        if tasks is None and _makes_tasks(drawing, statement):
            # How many there will be, only the run knows.
            hidden = drawing.draft.hide("KSL103", [statement], drawing.frame, statement)
            if hidden:
                lanes.append(Lane("", (*hidden,), Range.of(statement)))
            continue
        if tasks is None:
            body += drawing.statement(statement)
            if ends(tuple(body[-1:])):
                break
            continue
        for task in tasks:
            if blocks := drawing.awaited(task):
                lanes.append(Lane("", tuple(blocks), Range.of(task)))
    if body:
        lanes.insert(0, Lane("body", tuple(body), Range.of(node)))
    return parallel("task group", "", lanes, node)


def _makes_tasks(drawing: Statements, statement: ast.stmt) -> bool:
    return any(
        isinstance(node, ast.Call) and form_of(node, drawing.frame) == "task" for node in ast.walk(statement)
    )


def _tasks(drawing: Statements, statement: ast.stmt) -> list[ast.expr] | None:
    """The coroutines of a statement that makes tasks and does nothing else; None for another statement."""
    match statement:
        case ast.Expr(value=value) | ast.Assign(value=value) | ast.AugAssign(value=value):
            made = _made(drawing, value)
        case ast.AnnAssign(value=ast.expr() as value):
            made = _made(drawing, value)
        case _:
            return None
    return made


def _made(drawing: Statements, value: ast.expr) -> list[ast.expr] | None:
    match value:
        case ast.Call(args=[coroutine, *_]) if form_of(value, drawing.frame) == "task":
            options = [*value.args[1:], *(word.value for word in value.keywords)]
            plain = not isinstance(coroutine, ast.Starred) and not any(map(drawing.asks_a_step, options))
            return [coroutine] if plain else None
        case ast.List(elts=items) | ast.Tuple(elts=items) if items:
            each = [_made(drawing, item) for item in items]
            found = [tasks for tasks in each if tasks is not None]
            return [task for tasks in found for task in tasks] if len(found) == len(each) else None
        case _:
            return None


def _only_tasks(drawing: Statements, node: ast.If) -> bool:
    if drawing.asks_a_step(node.test):
        return False
    branches = [*node.body, *node.orelse]
    return any(_tasks(drawing, each) for each in branches) and all(
        _tasks(drawing, each) is not None
        or (isinstance(each, ast.If) and _only_tasks(drawing, each))
        or not drawing.draft.reached.below([each], drawing.frame)
        for each in branches
    )


def _conditional(drawing: Statements, node: ast.If) -> list[Block]:
    def way(statements: list[ast.stmt], label: str) -> Lane:
        blocks: list[Block] = []
        lanes: list[Lane] = []
        for statement in statements:
            tasks = _tasks(drawing, statement)
            if tasks is None:
                blocks += (
                    _conditional(drawing, statement)
                    if isinstance(statement, ast.If)
                    else drawing.statement(statement)
                )
                continue
            for task in tasks:
                if made := drawing.awaited(task):
                    lanes.append(Lane("", tuple(made), Range.of(task)))
        if len(lanes) == 1:
            blocks = [*lanes[0].blocks, *blocks]
        else:
            blocks = [*parallel("task group", "", lanes, node), *blocks]
        return Lane(label, tuple(blocks), Range.of(statements[0] if statements else node))

    lanes = [way(node.body, unparsed(node.test)), way(node.orelse, "else")]
    return decision(unparsed(node.test), "if", lanes, node)
