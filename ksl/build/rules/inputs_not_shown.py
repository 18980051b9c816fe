from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class InputsNotShown(Rule):
    """The canvas shows what goes into a step, `id = order.id`. Of `**values` it cannot say what that is."""

    code = "KSL104"
    title = "step input given by * or **"
    bad = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(fields: dict[str, int]) -> None:
    await charge.run(**«fields»)
"""
    good = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(fields: dict[str, int]) -> None:
    await charge.run(amount=fields["amount"])
"""
    fix = "Name every input."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for step in file.drawn_steps():
            for each in [
                *(arg.value for arg in step.call.args if isinstance(arg, ast.Starred)),
                *(keyword.value for keyword in step.call.keywords if keyword.arg is None),
            ]:
                yield Finding(each, f"the inputs of {step.name} are not shown", self.fix)
