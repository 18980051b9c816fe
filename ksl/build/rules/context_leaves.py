from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.names import CONTEXT
from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class ContextLeaves(Rule):
    """The context sleeps and opens hooks in the name of one run, at places that the canvas must know.

    It may be passed to a helper of the same file, which the canvas draws; a parameter of another name than `ctx`
    says that it is one: `run: Context`. Anywhere else, pass what is needed from it: `ctx.now()`, `ctx.run_id`.
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
                elif (lost := self._unknown(file, node)) is not None:
                    message = f"the canvas takes {lost} for no context, so its sleeps and hooks would be lost"
                    yield Finding(node, message, f"annotate it:  {lost}: Context")

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

    def _unknown(self, file: Reading, node: ast.Name) -> str | None:
        """The helper's parameter that the context is passed as, when it sleeps or waits without being known for one."""
        parent = file.parents[node]
        call = file.parents[parent] if isinstance(parent, ast.keyword) else parent
        helper = file.helper(call)
        if helper is None or not isinstance(call, ast.Call):
            return None
        placed = [arg.arg for arg in (*helper.args.posonlyargs, *helper.args.args)]
        index = call.args.index(node) if node in call.args else len(placed)
        name = parent.arg if isinstance(parent, ast.keyword) else next(iter(placed[index:]), None)
        uses = (use for use in ast.walk(helper) if isinstance(use, ast.Name) and use.id == name)
        for use in uses:
            if isinstance(use.ctx, ast.Load) and file.resolve(use) is not CONTEXT:
                around = file.parents[use]
                if not isinstance(around, ast.Attribute) or around.attr in ("sleep", "hook"):
                    return name
        return None
