from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class ConditionalStep(Rule):
    """Whether the step runs is decided inside an expression. It is drawn, but easy to overlook in the code."""

    code = "KSL105"
    title = "expression that decides which step runs"
    bad = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(amount: int) -> str:
    receipt = «await charge.run(amount=amount) if amount else "nothing"»
    return receipt
"""
    good = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(amount: int) -> str:
    receipt = "nothing"
    if amount:
        receipt = await charge.run(amount=amount)
    return receipt
"""
    fix = "Use an `if` statement."

    def findings(self, file: Reading) -> Iterator[Finding]:
        seen: set[ast.AST] = set()
        for step in file.drawn_steps():
            child: ast.AST = step.call
            decides: ast.AST | None = None
            for parent in file.above(step.call):
                match parent:
                    case ast.IfExp() if child is not parent.test:
                        decides = parent
                    case ast.BoolOp() if child is not parent.values[0]:
                        decides = parent
                    case ast.Compare(comparators=[_, *others]) if child in others:
                        decides = parent
                    case ast.stmt():
                        break
                    case _:
                        pass
                child = parent
            if decides is not None and decides not in seen:
                seen.add(decides)
                yield Finding(decides, "which step runs is decided inside an expression", self.fix)
