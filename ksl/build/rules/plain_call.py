from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class PlainCall(Rule):
    """Calling an action without `.run` calls the function itself: nothing is recorded, and nothing retried.

    It runs again at every replay.
    """

    code = "KSL118"
    title = "action called without .run"
    bad = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(amount: int) -> str:
    return await «charge(amount=amount)»
"""
    good = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(amount: int) -> str:
    return await charge.run(amount=amount)
"""
    fix = "Call it with `.run`."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            if isinstance(node, ast.Call):
                known = file.kind(node.func)
                if known is not None and known[0] in ("action", "workflow"):
                    message = f"{known[0]} {known[1]} is called as a plain function, which is not recorded"
                    yield Finding(node, message, f"{file.shown(node.func)}.run(...)")
