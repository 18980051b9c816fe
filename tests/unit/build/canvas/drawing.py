"""A body of a few lines, drawn with the small steps of the site table's tests."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

from ksl.build.canvas import Canvas, extract
from ksl.build.canvas.outline import outline

from tests.unit.build.stand_in import is_context, kind_of, load, table_of

HEAD = """\
import asyncio

async def helper(x):
    return await a.run(x)

async def endless():
    await b.run()
    await endless()

async def body(xs, ctx):
"""


def drawn(folder: Path, body: str, *, head: str = HEAD) -> Canvas:
    return canvas(folder, head + indent(dedent(body).strip("\n"), "    ") + "\n")


def canvas(folder: Path, text: str) -> Canvas:
    function = load(folder / "flow.py", text)["body"]
    return extract(function, table_of(function), kind_of=kind_of, is_context=is_context)


def lines(folder: Path, body: str) -> list[str]:
    return outline(drawn(folder, body)).splitlines()
