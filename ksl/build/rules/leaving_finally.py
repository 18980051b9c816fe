from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class LeavingFinally(Rule):
    """Leaving a `finally` drops whatever exception was on its way, also a cancellation of the run."""

    code = "KSL109"
    title = "return, raise or break in finally"
    bad = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(amount: int) -> str:
    try:
        await charge.run(amount=amount)
    finally:
        «return "done"»
"""
    good = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(amount: int) -> str:
    try:
        await charge.run(amount=amount)
    finally:
        print("tried")
    return "done"
"""
    fix = "Put it after the `try` statement."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            if isinstance(node, ast.Try | ast.TryStar) and any(file.runs_steps(each) for each in node.body):
                for statement in node.finalbody:
                    for each in file.within(statement):
                        if isinstance(each, ast.Return | ast.Raise) or (
                            isinstance(each, ast.Break | ast.Continue) and not self._stays(file, each, node)
                        ):
                            word = type(each).__name__.lower()
                            yield Finding(each, f"this {word} drops an exception on its way", self.fix)

    def _stays(self, file: Reading, node: ast.AST, around: ast.AST) -> bool:
        for parent in file.above(node):
            if parent is around:
                return False
            if isinstance(parent, ast.For | ast.AsyncFor | ast.While):
                return True
        return False
