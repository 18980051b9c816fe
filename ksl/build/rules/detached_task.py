from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.calls import loads, makes_task
from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class DetachedTask(Rule):
    """A task that nothing waits for is cut off when the workflow's function returns.

    A task that is awaited later in the same function works. It is drawn as one opaque block, so that is only
    a warning. A task group or `gather` says the same and is drawn.
    """

    code = "KSL008"
    title = "task with steps that nothing waits for"
    bad = """
import asyncio

from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    «asyncio.create_task(notify.run(text="soon"))»
    await charge.run(amount=amount)
"""
    good = """
import asyncio

from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(notify.run(text="soon"))
        group.create_task(charge.run(amount=amount))
"""
    fix = "Use `asyncio.gather` or a task group, which wait for what they start."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            if isinstance(node, ast.Call) and makes_task(file, node) == "detached" and file.runs_steps(node):
                if self._is_awaited(file, node):
                    message = "the steps of this task are drawn as one opaque block"
                    yield Finding(node, message, self.fix, "warning")
                else:
                    yield Finding(node, "nothing waits for this task, so its steps may be cut off", self.fix)

    def _is_awaited(self, file: Reading, call: ast.Call) -> bool:
        for parent in file.above(call):
            match parent:
                case ast.Await() | ast.Call():
                    return True
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    return bool(loads(file, name, around=call))
                case ast.stmt():
                    return not isinstance(parent, ast.Expr)
                case _:
                    pass
        return False
