from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.calls import calls_around, comprehension_around, makes_task, takes_steps
from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class NestedInArguments(Rule):
    """A step in the arguments of another call is drawn nowhere: the canvas shows statements in their order.

    Its result is also worth a name. What runs steps side by side may have them as arguments: `asyncio.gather`,
    a task group's `create_task`, `asyncio.wait_for`, `asyncio.shield`, `bounded` and `as_completed` of ksl. What that
    gives when it is awaited may be passed on at once: `sum(await asyncio.gather(...))`. So may a task, which runs
    by itself: `tasks.append(group.create_task(...))`.
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
        for call, name in file.drawn_calls():
            if comprehension_around(file, call) is not None:
                continue  # KSL102 and KSL103 tell of those
            around = list(self._around(file, call))
            if around:
                parent = file.parents[call]
                node = parent if isinstance(parent, ast.Await) else call
                fix = f"assign it first:  result = await {file.shown(call)}"
                if node is call and self._collects(around[0]):
                    fix = (
                        "give a list to what runs it:  await bounded(10, [...]), or await each step in a loop"
                    )
                yield Finding(
                    node, f"{name} is nested in the arguments of {file.shown(around[0].func)}()", fix
                )

    def _around(self, file: Reading, step: ast.Call) -> Iterator[ast.Call]:
        """The calls that have the step in their arguments, up to where what runs it is awaited."""
        for call in calls_around(file, step):
            if not takes_steps(file, call):
                yield call
            elif isinstance(file.parents[call], ast.Await) or makes_task(file, call) is not None:
                return  # sum(await asyncio.gather(...)), tasks.append(group.create_task(...)): drawn as those

    def _collects(self, call: ast.Call) -> bool:
        return isinstance(call.func, ast.Attribute) and call.func.attr in ("append", "add", "extend")
