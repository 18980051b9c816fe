from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class SetOrder(Rule):
    """A set of strings has another order in every process, so a replay would call the steps in another order."""

    code = "KSL115"
    title = "order of a set decides the order of steps"
    bad = """
from actions.desk import notify

from ksl import workflow


@workflow
async def greet(names: list[str]) -> None:
    for name in «set(names)»:
        await notify.run(text=name)
"""
    good = """
from actions.desk import notify

from ksl import workflow


@workflow
async def greet(names: list[str]) -> None:
    for name in sorted(set(names)):
        await notify.run(text=name)
"""
    fix = "Sort it: `for name in sorted(...)`."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            match node:
                case ast.For(iter=source) | ast.ListComp(generators=[ast.comprehension(iter=source), *_]):
                    if self._is_set(file, source) and file.runs_steps(node):
                        yield Finding(source, "the order of a set decides the order of steps", self.fix)
                case _:
                    pass

    def _is_set(self, file: Reading, node: ast.expr) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Call(func=called):
                value = file.resolve(called)
                return value is set or value is frozenset
            case ast.BinOp(left=left, op=ast.Sub() | ast.BitAnd() | ast.BitOr() | ast.BitXor()):
                return self._is_set(file, left)
            case _:
                return False
