from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule
from ksl.build.source import FunctionNode


class HelperReused(Rule):
    """A helper called once is drawn in place. One called from several places, or by itself, is not.

    It is drawn as one opaque block at each call, which lights as a whole. A sub-workflow is drawn open.
    """

    code = "KSL101"
    title = "helper with steps called from several places"
    bad = """
from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    await «tell("soon")»
    await charge.run(amount=amount)
    await «tell("paid")»


async def tell(text: str) -> None:
    await notify.run(text=text)
"""
    good = """
from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    await notify.run(text="soon")
    await charge.run(amount=amount)
    await notify.run(text="paid")
"""
    fix = "Write the steps where they run, or make the helper a workflow and call its `.run`."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for helper, names in file.helpers.items():
            if file.has_steps(helper):
                for name in self._repeated(file, helper, names):
                    parent = file.parents[name]
                    called = isinstance(parent, ast.Call) and parent.func is name
                    message = f"{name.id}() has steps and is called from several places: drawn as one block"
                    yield Finding(parent if called else name, message, self.fix)

    def _repeated(self, file: Reading, helper: FunctionNode, names: list[ast.Name]) -> list[ast.Name]:
        for body in file.bodies:
            reached = file.reached_from(body)
            here = [name for name in names if file.drawn_function(name) in reached]
            if len(here) > 1:
                return names
        return [] if all(file.drawn_function(name) is not helper for name in names) else names
