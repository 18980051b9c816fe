from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding, Severity
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class StepInFinally(Rule):
    """A step in `finally` is drawn as a lane that is always taken, and runs when the block is left: by its
    end, an error, a `return`, or the cancellation of the run.

    Nothing of it runs while the run merely waits, for however long, nor when the server stops or dies: the
    block has not been left then. What must be given back at once, whatever happens, belongs in an action that
    takes it and gives it back.
    """

    code = "KSL112"
    title = "step in finally"
    bad = """
from actions.desk import archive, charge

from ksl import Context, workflow


@workflow
async def order(amount: int, ctx: Context) -> None:
    try:
        await ctx.sleep("3d")
        await charge.run(amount=amount)
    finally:
        await «archive.run(text="order")»
"""
    good = """
from actions.desk import archive, charge

from ksl import Context, workflow


@workflow
async def order(amount: int, ctx: Context) -> None:
    await ctx.sleep("3d")
    await charge.run(amount=amount)
    await archive.run(text="order")
"""
    fix = "Nothing, if the end of the block is when it should run."

    @property
    def severity(self) -> Severity:
        return "information"

    def findings(self, file: Reading) -> Iterator[Finding]:
        for step in file.drawn_steps():
            child: ast.AST = step.call
            for parent in file.above(step.call):
                if isinstance(parent, ast.Try | ast.TryStar) and child in parent.finalbody:
                    message = f"{step.name} runs when the block is left, not while the run waits in it"
                    yield Finding(step.call, message, self.fix)
                    break
                if parent in file.bodies or parent in file.helpers:
                    break
                child = parent
