from __future__ import annotations

import ast
import builtins
import glob
import os
from collections.abc import Iterator

from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule

_UNSTABLE: tuple[object, ...] = (
    builtins.hash,
    builtins.id,
    os.listdir,
    os.scandir,
    os.walk,
    glob.glob,
    glob.iglob,
)


class UnstableValue(Rule):
    """Hashes of strings and addresses differ from process to process, and folders list in no fixed order.

    A replay in another process would then decide otherwise.
    """

    code = "KSL116"
    title = "value that differs from process to process"
    bad = """
from actions.desk import charge

from ksl import workflow


@workflow
async def order(name: str) -> None:
    if «hash(name)» % 2:
        await charge.run(amount=1)
"""
    good = """
from zlib import crc32

from actions.desk import charge

from ksl import workflow


@workflow
async def order(name: str) -> None:
    if crc32(name.encode()) % 2:
        await charge.run(amount=1)
"""
    fix = "Do it in an action, whose answer is recorded."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            if isinstance(node, ast.Call):
                called = file.resolve(node.func)
                if any(called is each for each in _UNSTABLE):
                    message = f"{file.shown(node.func)}() answers otherwise in another process"
                    yield Finding(node, message, self.fix)
