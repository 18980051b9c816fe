from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class StepInGuard(Rule):
    """Guards run one after the other until one holds, between the branches that the canvas draws."""

    code = "KSL106"
    title = "step in the guard of a case"
    bad = """
from actions.desk import audit

from ksl import workflow


@workflow
async def order(amount: int) -> str:
    match amount:
        case 0 if (await «audit.run()»).ok:
            return "free"
        case _:
            return "paid"
"""
    good = """
from actions.desk import audit

from ksl import workflow


@workflow
async def order(amount: int) -> str:
    answer = await audit.run()
    match amount:
        case 0 if answer.ok:
            return "free"
        case _:
            return "paid"
"""
    fix = "Run the step before the `match`."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for step in file.drawn_steps():
            child: ast.AST = step.call
            for parent in file.above(step.call):
                if isinstance(parent, ast.match_case):
                    if child is parent.guard:
                        yield Finding(step.call, f"{step.name} runs in the guard of a case", self.fix)
                    break
                if isinstance(parent, ast.stmt):
                    break
                child = parent
