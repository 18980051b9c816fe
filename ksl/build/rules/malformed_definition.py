from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.failure import ImportFailure
from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule
from ksl.build.source import FunctionNode, SourceFile
from ksl.errors import MalformedDefinition as Malformed


class MalformedDefinition(Rule):
    """A decorator cannot make a workflow or an action of its function.

    A workflow is an `async def` with at most one input and one context, without a `yield`; a slug is
    lower-case words joined by hyphens. The module did not load, so nothing else in it was checked. The
    [page of the error](../errors/KSL010.md) tells more.
    """

    code = Malformed.code
    title = "malformed definition"
    bad = """
from ksl import workflow


@«workflow»
def order(amount: int) -> int:
    return amount
"""
    good = """
from ksl import workflow


@workflow
async def order(amount: int) -> int:
    return amount
"""
    fix = "Put the definition right as the message says."

    def findings(self, file: Reading) -> Iterator[Finding]:
        """Nothing: a module with a malformed definition does not load. See `of_failure`."""
        return iter(())

    def of_failure(self, failure: ImportFailure, source: SourceFile) -> Finding | None:
        """What kept a module from loading, at its decorator; None when the failure is of another kind."""
        if failure.code != self.code:
            return None
        for node in ast.walk(source.tree):
            if isinstance(node, FunctionNode):
                for decorator in node.decorator_list:
                    if decorator.lineno <= failure.line <= (decorator.end_lineno or 0):
                        return Finding(decorator, failure.error, self.fix)
        return None
