from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class AsyncioWaits(Rule):
    """`asyncio.wait` and `asyncio.as_completed` are drawn as one opaque block.

    Both also put what they are given into sets. Coroutines in a set are ordered by their addresses, which
    differ from process to process, so a replay might start them in another order.
    """

    code = "KSL113"
    title = "asyncio.wait or asyncio.as_completed"
    bad = """
import asyncio

from actions.desk import audit, charge

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    for next_one in «asyncio.as_completed([charge.run(amount=amount), audit.run()])»:
        await next_one
"""
    good = """
from actions.desk import audit, charge

from ksl import as_completed, workflow


@workflow
async def order(amount: int) -> None:
    async for answer in as_completed([charge.run(amount=amount), audit.run()]):
        print(answer)
"""
    fix = "Use `as_completed` of ksl, or `asyncio.gather`."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            if isinstance(node, ast.Call):
                called = file.resolve(node.func)
                for each in (asyncio.wait, asyncio.as_completed):
                    if called is each:
                        yield Finding(node, f"asyncio.{each.__name__} is drawn as one block", self.fix)
