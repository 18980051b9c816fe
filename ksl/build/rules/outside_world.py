from __future__ import annotations

import ast
import builtins
import datetime as dt
import os
import random
import secrets
import subprocess
import time
import uuid
from collections.abc import Iterator
from types import ModuleType

from ksl.build.names import UNKNOWN
from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule


class OutsideWorld(Rule):
    """A workflow's function runs again from its start at every replay and must then decide the same.

    The clock, chance, the environment, files and the network answer otherwise the second time. An action's
    answer is recorded. `ctx.now()`, `ctx.uuid()` and `ctx.random()` answer the same on every replay.
    """

    code = "KSL114"
    title = "clock, chance or input in a workflow's function"
    bad = """
from datetime import UTC, datetime

from actions.desk import notify

from ksl import workflow


@workflow
async def greet(name: str) -> None:
    today = «datetime.now(UTC)»
    await notify.run(text=f"{today} {name}")
"""
    good = """
from actions.desk import notify

from ksl import Context, workflow


@workflow
async def greet(name: str, ctx: Context) -> None:
    today = ctx.now()
    await notify.run(text=f"{today} {name}")
"""
    fix = "Do it in an action, or use `ctx.now()`, `ctx.uuid()` or `ctx.random()`."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for node in file.drawn_nodes:
            match node:
                case ast.Call(func=called):
                    if self._reaches_out(file, called):
                        message = f"{file.shown(called)}() answers otherwise when the run is replayed"
                        yield Finding(node, message, self.fix)
                case ast.Attribute() | ast.Name():
                    if file.resolve(node) is os.environ:
                        yield Finding(
                            node, "the environment may be another when the run is replayed", self.fix
                        )
                case _:
                    pass

    def _reaches_out(self, file: Reading, called: ast.expr) -> bool:
        if isinstance(called, ast.Attribute):
            receiver = file.resolve(called.value)
            if isinstance(receiver, ModuleType) and receiver.__name__.partition(".")[0] in _MODULES:
                return called.attr != "Random"  # with a seed it answers the same
            is_clock = any(receiver is each for each in (dt.datetime, dt.date))
            if is_clock and called.attr in ("now", "utcnow", "today"):
                return True
        value = file.resolve(called)
        return value is not UNKNOWN and any(value is each for each in _FUNCTIONS)


_MODULES = {"random", "secrets", "subprocess", "requests", "httpx", "urllib3", "socket", "aiohttp", "shutil"}
_FUNCTIONS: tuple[object, ...] = (
    time.time,
    time.time_ns,
    time.monotonic,
    time.monotonic_ns,
    time.perf_counter,
    time.sleep,
    time.localtime,
    time.gmtime,
    uuid.uuid1,
    uuid.uuid4,
    os.getenv,
    os.urandom,
    builtins.open,
    builtins.input,
    random.random,
    random.randint,
    random.choice,
    random.shuffle,
    random.uniform,
    secrets.token_hex,
    secrets.token_urlsafe,
    subprocess.run,
    subprocess.Popen,
    subprocess.check_output,
)
