from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class DynamicTarget(Rule):
    """Which step is called is only known when the run gets there. It is drawn as a step without a name.

    What `exec` and `eval` run cannot be drawn at all.
    """

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
                if file.runs_steps(step.call.func):
                    message = (
                        f"{shown}() runs what the result of a step names, which is known only at run time"
                    )
                    yield Finding(
                        step.call, message, "Give the result a name, and branch to steps that are named."
                    )
                else:
                    yield Finding(step.call, f"which step {shown}() runs is known only at run time", self.fix)
        for node in file.drawn_nodes:
            if isinstance(node, ast.Call):
                runs = file.resolve(node.func)
                if runs is exec or runs is eval:
                    name = "exec" if runs is exec else "eval"
                    message = f"a step that is called in what {name}() runs is not on the canvas, and fails"
                    yield Finding(node, message, "Write the code out.")
