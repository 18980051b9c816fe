from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class OutsideWorkflow(Rule):
    """A step gets its id and its place on the canvas from the workflow file that calls it.

    A step called in another module has neither: the run would fail there. This is looked for in every module
    that the project imports, and told of where the workflow calls the function, too. Actions are leaves: one that
    calls another with `.run` is a workflow by nature.
    The function of a poll is no run: an action that it calls with `.run` is executed at once.
    """

    code = "KSL001"
    title = "step called outside a workflow file"
    bad = """
# lib/tell.py
from actions.desk import notify


async def tell(name: str) -> None:
    await «notify.run(text=name)»
# workflows/example.py
from lib.tell import tell

from ksl import workflow


@workflow
async def greet(name: str) -> None:
    await «tell(name)»
"""
    good = """
from actions.desk import notify

from ksl import workflow


@workflow
async def greet(name: str) -> None:
    await tell(name)


async def tell(name: str) -> None:
    await notify.run(text=name)
"""
    fix = "Move the call into the workflow's function, or into a helper in the workflow's own file."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            if isinstance(node, ast.Call) and (outside := file.outside_function(node)) is not None:
                where = f"{Path(outside.__code__.co_filename).name}:{outside.__code__.co_firstlineno}"
                message = f"{outside.__name__}() runs steps, in {where}, outside a workflow file"
                yield Finding(node, message, "Move the function into this file.")
        for step in file.steps:
            if step.kind == "dynamic":
                continue
            if step.where == "elsewhere" and isinstance(file.function(step.call), ast.Module):
                yield Finding(step.call, f"{step.name} is called while a module is imported", self.fix)
            elif step.where == "elsewhere":
                yield Finding(step.call, f"{step.name} is called outside a workflow file", self.fix)
            elif step.where == "action":
                function = (
                    ast.unparse(step.call.func.value) if isinstance(step.call.func, ast.Attribute) else ""
                )
                yield Finding(
                    step.call,
                    f"{step.name} is called in the body of an action, and an action is one step",
                    f"call the plain function, {function}(...), or make this action a workflow",
                )
