from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator

from ksl.build.rules.calls import calls_around, comprehension_around, makes_task
from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule
from ksl.define.parallel import as_completed, bounded


class ComputedParallel(Rule):
    """How many branches run side by side is only known when the run gets there, so one opaque block is drawn.

    `bounded` has a node of its own for this, and a limit besides.
    """

    code = "KSL103"
    title = "steps side by side over a computed list"
    bad = """
import asyncio

from actions.desk import charge

from ksl import workflow


@workflow
async def order(amounts: list[int]) -> list[str]:
    return await asyncio.gather(*«[charge.run(amount=amount) for amount in amounts]»)
"""
    good = """
from actions.desk import charge

from ksl import bounded, workflow


@workflow
async def order(amounts: list[int]) -> list[str]:
    return await bounded(10, [charge.run(amount=amount) for amount in amounts])
"""
    fix = "Use `bounded(n, [...])` of ksl, a literal gather, or a `for` loop."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for call, _ in file.drawn_calls():
            around = comprehension_around(file, call)
            if around is not None and not isinstance(file.parents[call], ast.Await):
                takers = [file.resolve(taker.func) for taker in calls_around(file, around)]
                if bounded not in takers and as_completed not in takers:
                    yield self._finding(around)
        for node in file.drawn_nodes:
            if isinstance(node, ast.Call) and makes_task(file, node) == "group" and file.runs_steps(node):
                if self._loops(file, node):
                    yield self._finding(node)

    def _finding(self, node: ast.AST) -> Finding:
        return Finding(node, "the number of branches is computed: drawn as one block", self.fix)

    def _loops(self, file: Reading, node: ast.Call) -> bool:
        """In a loop inside the task group's own block."""
        for parent in file.above(node):
            match parent:
                case ast.For() | ast.AsyncFor() | ast.While():
                    return True
                case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                    return False  # told of above
                case ast.AsyncWith(items=items) if any(
                    isinstance(item.context_expr, ast.Call)
                    and file.resolve(item.context_expr.func) is asyncio.TaskGroup
                    for item in items
                ):
                    return False
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    return False
                case _:
                    pass
        return False
