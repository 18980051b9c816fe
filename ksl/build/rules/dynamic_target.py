from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class DynamicTarget(Rule):
    """Which step is called is only known when the run gets there. It is drawn as a step without a name."""

    code = "KSL107"
    title = "step chosen at run time"
    bad = """
from actions.desk import audit, charge

from ksl import workflow


@workflow
async def order(name: str) -> None:
    await «{"audit": audit, "charge": charge}[name].run()»
"""
    good = """
from actions.desk import audit, charge

from ksl import workflow


@workflow
async def order(name: str) -> None:
    if name == "audit":
        await audit.run()
    else:
        await charge.run(amount=1)
"""
    fix = "Branch with `if` or `match` to steps that are named."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for step in file.steps:
            if step.kind == "dynamic" and isinstance(file.parents[step.call], ast.Await):
                shown = file.shown(step.call.func)
                yield Finding(step.call, f"which step {shown}() runs is known only at run time", self.fix)
