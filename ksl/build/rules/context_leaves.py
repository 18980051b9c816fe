from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.names import CONTEXT
from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class ContextLeaves(Rule):
    """The context sleeps and opens hooks in the name of one run, at places that the canvas must know.

    It may be passed to a helper of the same file, which the canvas draws. Anywhere else, pass what is needed
    from it: `ctx.now()`, `ctx.run_id`.
    """

    code = "KSL007"
    title = "context handed out of the workflow"
    bad = """
from actions.desk import notify

from ksl import Context, workflow


@workflow
async def greet(name: str, ctx: Context) -> None:
    seen: list[Context] = []
    seen.append(«ctx»)
    await notify.run(text=name)
"""
    good = """
from actions.desk import notify

from ksl import Context, workflow


@workflow
async def greet(name: str, ctx: Context) -> None:
    await later(ctx)
    await notify.run(text=name)


async def later(ctx: Context) -> None:
    await ctx.sleep("1h")
"""
    fix = "Pass the values that are needed, not the context; only helpers of the same file may have it."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            if (
                isinstance(node, ast.Name)
                and isinstance(node.ctx, ast.Load)
                and file.resolve(node) is CONTEXT
            ):
                if not self._stays(file, node):
                    yield Finding(
                        node, f"{node.id}, the run's context, leaves the workflow's functions", self.fix
                    )

    def _stays(self, file: Reading, node: ast.Name) -> bool:
        parent = file.parents[node]
        match parent:
            case ast.Attribute() | ast.Compare() | ast.Expr():
                return True
            case ast.keyword():
                return file.helper(file.parents[parent]) is not None
            case ast.Call():
                return file.helper(parent) is not None
            case _:
                return False
