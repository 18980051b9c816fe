from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from ksl.build.canvas.blocks import Opaque, Range, walk
from ksl.build.rules.calls import loads
from ksl.build.rules.diagnostic import Finding, Severity
from ksl.build.rules.reading import Reading, Step
from ksl.build.rules.rule import Rule
from ksl.define.parallel import as_completed


class SilentLoss(Rule):
    """Every step call of a workflow is on its canvas, or another rule says why it is not. This rule is for
    the rest: code that nothing leads to, as after a `return`, and whatever the canvas cannot read. Steps that are
    drawn as one opaque block, and light with it, are told of as warnings, under the code that the block shows.
    """

    code = "KSL006"
    title = "step that the canvas would lose"
    bad = """
from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> str:
    await charge.run(amount=amount)
    return "done"
    await «notify.run(text="done")»
"""
    good = """
from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> str:
    await charge.run(amount=amount)
    await notify.run(text="done")
    return "done"
"""
    fix = "Call it where the workflow comes by, in a statement of its own such as `x = await step.run(...)`."

    def findings(self, file: Reading) -> Iterator[Finding]:
        """Nothing: what is lost shows only when all others have spoken. See `findings_beside`."""
        return iter(())

    def findings_beside(self, file: Reading, told: Mapping[ast.AST, Severity]) -> Iterator[Finding]:
        """`told` are the nodes that other rules found something at."""
        for function in file.undrawn:
            yield Finding(
                _head(function), f"{function.name}() cannot be drawn: it is too deep to read", self.fix
            )
        places = [Range.of(node) for node in told if isinstance(node, ast.stmt | ast.expr)]
        for canvas in file.canvases:
            for site in canvas.unplaced:
                step = _step(file, Range.of(site))
                if step is not None and not any(
                    told.get(node) == "error" for node in (step.call, *file.above(step.call))
                ):
                    yield Finding(step.call, f"{step.name} is not drawn, since nothing leads to it", self.fix)
            for block in walk(canvas.blocks):
                if isinstance(block, Opaque) and not _is_whole(file, block):
                    steps = [step for each in block.steps if (step := _step(file, each.at)) is not None]
                    if any(not _is_told(file, block, step, places) for step in steps):
                        yield _hidden(block, steps)


def _hidden(block: Opaque, steps: list[Step]) -> Finding:
    names = ", ".join(dict.fromkeys(step.name for step in steps))
    at = block.at
    return Finding(
        ast.Pass(lineno=at.line, col_offset=at.col, end_lineno=at.end_line, end_col_offset=at.end_col),
        f"{names}: drawn as one block, since the canvas cannot see what becomes of it",
        _FIXES.get(block.code, SilentLoss.fix),
        severity="warning",
        code=block.code,
    )


_FIXES = {
    "KSL003": "Write `await` before the call, or keep it in a variable of its own that is awaited once.",
    "KSL005": "Call the function where it runs; choose between functions with `if` or `match`.",
    "KSL008": "Use `asyncio.gather` or `async with asyncio.TaskGroup() as group`, and start all tasks in its block.",
    "KSL101": "Write the steps where they run, or make the helper a workflow and call its `.run`.",
    "KSL103": "Await it where it is made; start the tasks of a group in its block itself, or below an `if` there.",
}


def _step(file: Reading, at: Range) -> Step | None:
    """None for what may be no step at all: `client.run()` of an unknown client, which nobody awaits."""
    step = file.step_at(at)
    if step is None or (step.kind == "dynamic" and not isinstance(file.parents[step.call], ast.Await)):
        return None
    return step


def _is_told(file: Reading, block: Opaque, step: Step, places: list[Range]) -> bool:
    """Whether something was found in the block, or where the variable is used that keeps what it makes."""
    used = [block.at, Range.of(step.call)]
    match file.statement(step.call):
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            used += [Range.of(load) for load in loads(file, name, around=step.call)]
        case _:
            pass
    return any(_meet(one, place) for one in used for place in places)


def _is_whole(file: Reading, block: Opaque) -> bool:
    """ksl's own `as_completed` is one block by nature: which step comes first, only the run knows."""
    call = file.call_at(block.at)
    return call is not None and file.resolve(call.func) is as_completed


def _meet(one: Range, other: Range) -> bool:
    return (one.line, one.col) < (other.end_line, other.end_col) and (other.line, other.col) < (
        one.end_line,
        one.end_col,
    )


def _head(function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
    """The name of a function stands for it: its whole body would be underlined otherwise."""
    return ast.Name(
        id=function.name,
        lineno=function.lineno,
        col_offset=function.col_offset,
        end_lineno=function.lineno,
        end_col_offset=function.col_offset + 3,
    )
