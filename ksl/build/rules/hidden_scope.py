from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class HiddenScope(Rule):
    """The canvas draws a workflow's function and the functions of its file that are called by name.

    It does not look into a lambda, a nested function, a class, a default value or a decorator, because when
    and how often those run is not written where they stand.
    """

    code = "KSL004"
    title = "step where the canvas does not look"
    bad = """
from actions.desk import notify

from ksl import workflow


@workflow
async def greet(name: str) -> None:
    async def tell(text: str) -> None:
        await «notify.run(text=text)»

    await tell(name)
"""
    good = """
from actions.desk import notify

from ksl import workflow


@workflow
async def greet(name: str) -> None:
    await tell(name)


async def tell(text: str) -> None:
    await notify.run(text=text)
"""
    fix = "Move the step into a module-level `async def` of the same file, called once."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for step in file.steps:
            if step.kind == "dynamic":
                continue
            if step.where == "hidden":
                yield Finding(step.call, f"{step.name} is called in {self._told(file, step.call)}", self.fix)
            elif step.where == "drawn":
                if file.function(step.call) in file.generators:
                    yield Finding(step.call, f"{step.name} is called in a generator function", self.fix)

    def _told(self, file: Reading, call: ast.Call) -> str:
        child: ast.AST = call
        for parent in file.above(call):
            match parent:
                case ast.arguments():
                    return "the default of a parameter"
                case ast.FunctionDef() | ast.AsyncFunctionDef() if child in parent.decorator_list:
                    return f"a decorator of {parent.name}()"
                case ast.FunctionDef() | ast.AsyncFunctionDef() if isinstance(
                    file.owner(parent), ast.ClassDef
                ):
                    return f"{parent.name}(), a method"
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    return f"{parent.name}(), a nested function"
                case ast.Lambda():
                    return "a lambda"
                case ast.ClassDef():
                    return f"the body of the class {parent.name}"
                case _:
                    child = parent
        return "a module's own code, which runs when it is imported"
