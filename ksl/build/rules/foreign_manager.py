from __future__ import annotations

import ast
import asyncio
import contextlib
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule

_FINE: tuple[object, ...] = (
    asyncio.TaskGroup,
    asyncio.timeout,
    asyncio.timeout_at,
    asyncio.Semaphore,
    asyncio.BoundedSemaphore,
    asyncio.Lock,
    contextlib.suppress,
    contextlib.nullcontext,
)


class ForeignManager(Rule):
    """A `with` around a step is entered anew at every replay: the file is opened again, the lock taken again.

    It is not held while the run waits, either. asyncio's own timeouts, groups and locks are not meant.
    """

    code = "KSL110"
    title = "with statement around steps"
    bad = """
from tempfile import TemporaryDirectory

from actions.desk import archive

from ksl import workflow


@workflow
async def order() -> None:
    with «TemporaryDirectory()» as folder:
        await archive.run(text=folder)
"""
    good = """
from actions.desk import archive

from ksl import workflow


@workflow
async def order() -> None:
    await archive.run(text="the action makes its own folder")
"""
    fix = "Open and close it inside one action."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            if isinstance(node, ast.With | ast.AsyncWith) and any(
                file.runs_steps(each) for each in node.body
            ):
                for item in node.items:
                    manager = item.context_expr
                    if isinstance(manager, ast.Call):
                        called = file.resolve(manager.func)
                        if not any(called is each for each in _FINE):
                            shown = file.shown(manager.func)
                            message = f"{shown}() is entered again at every replay of the steps in it"
                            yield Finding(manager, message, self.fix)
