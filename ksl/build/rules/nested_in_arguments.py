from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.calls import calls_around, comprehension_around, takes_steps
from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class NestedInArguments(Rule):
    """A step in the arguments of another call is drawn nowhere: the canvas shows statements in their order.

    Its result is also worth a name. What runs steps side by side may have them as arguments: `asyncio.gather`,
    a task group's `create_task`, `asyncio.wait_for`, `asyncio.shield`, `bounded` and `as_completed` of ksl. What that
    gives when it is awaited may be passed on at once: `sum(await asyncio.gather(...))`.
    """

    code = "KSL002"
    title = "step in the arguments of another call"
    bad = """
from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    await notify.run(text=«await charge.run(amount=amount)»)
"""
    good = """
from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    receipt = await charge.run(amount=amount)
    await notify.run(text=receipt)
"""
    fix = "Assign the step's result to a name first, and pass the name."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for step in file.drawn_steps():
            if comprehension_around(file, step.call) is not None:
                continue  # KSL102 and KSL103 tell of those
            around = list(self._around(file, step.call))
            if around:
                parent = file.parents[step.call]
                node = parent if isinstance(parent, ast.Await) else step.call
                fix = f"assign it first:  result = await {file.shown(step.call)}"
                if node is step.call and self._collects(around[0]):
                    fix = (
                        "give a list to what runs it:  await bounded(10, [...]), or await each step in a loop"
                    )
                yield Finding(
                    node, f"{step.name} is nested in the arguments of {file.shown(around[0].func)}()", fix
                )

    def _around(self, file: Reading, step: ast.Call) -> Iterator[ast.Call]:
        """The calls that have the step in their arguments, up to where what runs it is awaited."""
        for call in calls_around(file, step):
            if not takes_steps(file, call):
                yield call
            elif isinstance(file.parents[call], ast.Await):
                return  # sum(await asyncio.gather(...)): the steps are drawn as those of the gather

    def _collects(self, call: ast.Call) -> bool:
        return isinstance(call.func, ast.Attribute) and call.func.attr in ("append", "add", "extend")
