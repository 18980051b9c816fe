"""`async with asyncio.TaskGroup()`: a lane for each task, and one for what the body itself awaits."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
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
        if tasks is None and _makes_tasks(drawing, statement):
            if isinstance(statement, ast.If | ast.Match) and _only_tasks(drawing, statement):
                made = _conditional(drawing, statement)
            else:  # how many there will be, only the run knows
                made = drawing.draft.hide("KSL103", [statement], drawing.frame, statement)
            if made:
                lanes.append(Lane("", tuple(made), Range.of(statement)))
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


def _tasks(drawing: Statements, statement: ast.stmt) -> list[ast.expr] | None:
    """The coroutines of a statement that makes a task of each and runs no other step; None for another one."""
    targets: list[ast.expr] = []
    match statement:
        case ast.Expr(value=value):
            pass
        case ast.Assign(targets=targets, value=value):
            pass
        case (
            ast.AugAssign(target=target, value=value)
            | ast.AnnAssign(target=target, value=ast.expr() as value)
        ):
            targets = [target]
        case _:
            return None
    if any(map(drawing.asks_a_step, targets)):
        return None
    return _made(drawing, value) or None


def _made(drawing: Statements, node: ast.AST) -> list[ast.expr] | None:
    """None where the tasks are not made once each, or where a step runs besides."""
    match node:
        case ast.Call() if form_of(node, drawing.frame) == "task":
            given = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "coro")]
            options = [*node.args[1:], *(word.value for word in node.keywords if word.arg != "coro")]
            plain = len(given) == 1 and not isinstance(given[0], ast.Starred)
            return given if plain and not any(map(drawing.asks_a_step, options)) else None
        case ast.expr() if not _makes_tasks(drawing, node):
            return None if drawing.asks_a_step(node) else []
        case ast.Call() if drawing.draft.site(node) is not None:
            return None
        case (
            ast.Call() | ast.keyword() | ast.Attribute() | ast.Subscript() | ast.NamedExpr() | ast.Starred()
            | ast.List() | ast.Tuple() | ast.Dict() | ast.Await()
        ):  # fmt: skip
            parts = [_made(drawing, each) for each in ast.iter_child_nodes(node)]
            found = [part for part in parts if part is not None]
            return [task for part in found for task in part] if len(found) == len(parts) else None
        case ast.expr_context():
            return []
        case _:
            return None


def _makes_tasks(drawing: Statements, node: ast.AST) -> bool:
    return any(
        isinstance(each, ast.Call) and form_of(each, drawing.frame) == "task" for each in ast.walk(node)
    )


def _only_tasks(drawing: Statements, node: ast.If | ast.Match) -> bool:
    match node:
        case ast.If(test=test, body=body, orelse=others):
            asked, branches = [test], [*body, *others]
        case ast.Match(subject=subject, cases=cases):
            asked = [subject, *(case.guard for case in cases if case.guard is not None)]
            branches = [statement for case in cases for statement in case.body]
    return not any(map(drawing.asks_a_step, asked)) and all(
        _tasks(drawing, each) is not None
        or (isinstance(each, ast.If | ast.Match) and _only_tasks(drawing, each))
        or not (_makes_tasks(drawing, each) or drawing.draft.reached.below([each], drawing.frame))
        for each in branches
    )


def _conditional(drawing: Statements, node: ast.If | ast.Match) -> list[Block]:
    def way(statements: Sequence[ast.stmt]) -> tuple[Block, ...]:
        blocks: list[Block] = []
        lanes: list[Lane] = []
        for statement in statements:
            tasks = _tasks(drawing, statement)
            if tasks is None:
                blocks += (
                    _conditional(drawing, statement)
                    if isinstance(statement, ast.If | ast.Match)
                    else drawing.statement(statement)
                )
                continue
            for task in tasks:
                if made := drawing.awaited(task):
                    lanes.append(Lane("", tuple(made), Range.of(task)))
        if len(lanes) == 1:
            return (*lanes[0].blocks, *blocks)
        return (*parallel("task group", "", lanes, node), *blocks)

    match node:
        case ast.Match(subject=subject):
            return decision(unparsed(subject), "match", drawing.case_lanes(node, way), node)
        case ast.If(test=test, body=body, orelse=others):
            at = Range.of(others[0]) if others else Range.of(node)
            taken = Lane(unparsed(test), way(body), Range.of(body[0]))
            return decision(unparsed(test), "if", [taken, Lane("else", way(others), at)], node)
