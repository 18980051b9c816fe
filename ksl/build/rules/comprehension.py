from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.calls import comprehension_around
from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class StepInComprehension(Rule):
    """A comprehension is one expression, and is drawn as one opaque block. A loop is drawn as a loop."""

    code = "KSL102"
    title = "step in a comprehension"
    bad = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(amounts: list[int]) -> list[str]:
    return «[await charge.run(amount=amount) for amount in amounts]»
"""
    good = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(amounts: list[int]) -> list[str]:
    receipts: list[str] = []
    for amount in amounts:
        receipt = await charge.run(amount=amount)
        receipts.append(receipt)
    return receipts
"""
    fix = "Write a `for` loop with the step as a statement of its own."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for call, name in file.drawn_calls():
            around = comprehension_around(file, call)
            if around is not None and isinstance(file.parents[call], ast.Await):
                yield Finding(around, f"{name} stands in a comprehension: drawn as one block", self.fix)
