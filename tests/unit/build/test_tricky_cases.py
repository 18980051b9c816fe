"""What people write that is easily mistaken: what is drawn of it, and what the build says, in one place each.

`tricky_cases.txt` has the body, a line of dashes, the outline with the code and place of each diagnostic below, an
empty line. Places count from the body's beginning. What stands after a `~` goes below the workflow in its file.
"""

from __future__ import annotations

import gc
import re
from pathlib import Path
from textwrap import indent

import pytest

from ksl.build.canvas import canvas_of
from ksl.build.canvas.outline import outline
from ksl.build.rules.check import check

from tests.unit.build.rules.project import project_of

HEAD = """\
import asyncio
import functools

from actions import desk
from actions.desk import *
from actions.desk import archive, audit, charge, notify
from lib.helpers import tell

from ksl import Context, workflow


async def helper(n: int):
    await charge.run(amount=n)


async def again(n: int):
    if n:
        await charge.run(amount=n)
        await again(n - 1)


@workflow
async def flow(xs: list[int], ctx: Context):
"""
LIB = """\
# lib/helpers.py
from actions.desk import notify


async def tell(text: str):
    await notify.run(text=text)
"""
CASES = [
    case.split("\n----\n")
    for case in Path(__file__).with_name("tricky_cases.txt").read_text(encoding="utf-8").strip().split("\n\n")
]


@pytest.mark.filterwarnings("ignore:coroutine 'Action.execute' was never awaited")
@pytest.mark.parametrize(("body", "answer"), CASES, ids=[body.splitlines()[0] for body, _ in CASES])
def test_it_is_drawn_and_told_of_as_the_table_says(body: str, answer: str, tmp_path: Path) -> None:
    assert answered(tmp_path, body) == answer


def answered(folder: Path, body: str) -> str:
    inside, _, beside = body.partition("~\n")
    text = f"{HEAD}{indent(inside.strip(), '    ')}\n\n\n{beside}\n"
    first = HEAD.count("\n")
    with project_of(folder, f"{text}{LIB}") as project:
        drawn = outline(canvas_of(project, "flow")) if "flow" in project.tables else "nothing\n"
        told = [
            f"{each.code} {each.severity} {each.line - first}:{each.col - 4}"
            for each in check(project)
            if each.file == "workflows/example.py" and each.code != "KSL111"
        ]
    gc.collect()  # what a module made when it was imported, and never awaited
    drawn = re.sub(r"\(line (\d+)\)", lambda line: f"(line {int(line[1]) - first})", drawn)
    return "\n".join([*drawn.splitlines(), *told])
