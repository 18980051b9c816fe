from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule
from ksl.define.parallel import as_completed


class AsyncIteration(Rule):
    """What an asynchronous iterator awaits between its elements is not recorded, so a replay asks it anew.

    `as_completed` of ksl is made for this and is not meant.
    """

    code = "KSL108"
    title = "async for around steps"
    bad = """
from collections.abc import AsyncIterator

from actions.desk import charge

from ksl import workflow


async def amounts() -> AsyncIterator[int]:
    yield 1


@workflow
async def order() -> None:
    async for amount in «amounts()»:
        await charge.run(amount=amount)
"""
    good = """
from actions.desk import archive, notify

from ksl import workflow


@workflow
async def order() -> None:
    names = await archive.run(text="all")
    for name in names:
        await notify.run(text=name)
"""
    fix = "Fetch the elements as a list in an action, and loop over that."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            if isinstance(node, ast.AsyncFor) and any(file.runs_steps(each) for each in node.body):
                if not (isinstance(node.iter, ast.Call) and file.resolve(node.iter.func) is as_completed):
                    yield Finding(node.iter, "what this iterator awaits is not recorded", self.fix)
