from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class SwallowedControl(Rule):
    """The engine ends, suspends and cancels a run by exceptions that are no `Exception`.

    A handler that catches those around a step and does not raise them again runs its body when the run
    merely goes to sleep, and keeps a cancelled run alive.
    """

    code = "KSL011"
    title = "handler that swallows suspension and cancellation"
    bad = """
from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    try:
        await charge.run(amount=amount)
    except «BaseException»:
        await notify.run(text="it failed")
"""
    good = """
from actions.desk import charge, notify

from ksl import workflow


@workflow
async def order(amount: int) -> None:
    try:
        await charge.run(amount=amount)
    except Exception:
        await notify.run(text="it failed")
"""
    fix = "Write `except Exception:`, or end the handler with a bare `raise`."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            if not isinstance(node, ast.Try | ast.TryStar):
                continue
            if not any(file.runs_steps(statement) for statement in node.body):
                continue
            for handler in node.handlers:
                if self._swallows(file, handler):
                    caught = f"except {ast.unparse(handler.type)}" if handler.type else "a bare except"
                    message = f"{caught} around a step also catches the run's suspension or cancellation"
                    yield Finding(handler.type or handler, message, self.fix)
                if self._catches_all(file, handler):
                    break  # what follows is never reached

    def _catches_all(self, file: Reading, handler: ast.ExceptHandler) -> bool:
        return handler.type is None or file.resolve(handler.type) is BaseException

    def _swallows(self, file: Reading, handler: ast.ExceptHandler) -> bool:
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        caught = [None if kind is None else file.resolve(kind) for kind in kinds]
        if not any(kind in (None, BaseException, asyncio.CancelledError) for kind in caught):
            return False
        for statement in handler.body:
            for each in file.within(statement):
                match each:
                    case ast.Raise(exc=None):
                        return False
                    case ast.Raise(exc=ast.Name(id=name)) if name == handler.name:
                        return False
                    case _:
                        pass
        return True
