from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class StepAsValue(Rule):
    """`charge.run` without parentheses is passed on to be called elsewhere, out of the canvas's sight.

    A step is known by the place of its call. `functools.partial`, `map` and a name for the method take that
    place away, and the run would fail at the call.
    """

    code = "KSL005"
    title = "step method used as a value"
    bad = """
from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    send = «notify.run»
    receipt = await charge.run(amount=amount)
    await send(text=receipt)
"""
    good = """
from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    receipt = await charge.run(amount=amount)
    await notify.run(text=receipt)
"""
    fix = "Call the step where it runs; choose between steps with `if` or `match`."

    def findings(self, file: Reading) -> Iterator[Finding]:
        if not file.has_workflows:
            return
        for node in file.nodes:
            match node:
                case ast.Attribute(attr="run" | "prompt", ctx=ast.Load()):
                    parent = file.parents.get(node)
                    if isinstance(parent, ast.Call) and parent.func is node:
                        continue
                    known = file.method_kind(node)
                case ast.Call(func=callee, args=[receiver, ast.Constant(value="run" | "prompt"), *_]) if (
                    file.resolve(callee) is getattr
                ):
                    known = file.kind(receiver)
                case _:
                    continue
            if known is not None:
                yield Finding(node, f"the call of {known[0]} {known[1]} is used as a value", self.fix)
