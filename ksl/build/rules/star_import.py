from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class StarImport(Rule):
    """The steps are found all the same, but a reader of the file cannot tell where they come from."""

    code = "KSL111"
    title = "import of everything in a workflow's file"
    bad = """
«from actions.desk import *»

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    await charge.run(amount=amount)
"""
    good = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    await charge.run(amount=amount)
"""
    fix = "Import by name what is used."

    def findings(self, file: Reading) -> Iterator[Finding]:
        if file.has_workflows:
            for node in file.source.tree.body:
                if isinstance(node, ast.ImportFrom) and any(each.name == "*" for each in node.names):
                    yield Finding(
                        node, f"which names come from {node.module or '.'} cannot be seen", self.fix
                    )
