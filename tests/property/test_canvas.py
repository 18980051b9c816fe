"""Every step of a random workflow is drawn once, or hidden in a block that says so, and keeps its key."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from ksl.build.canvas import Canvas, canvas_of, extract
from ksl.build.canvas.as_json import as_json
from ksl.build.canvas.blocks import Block, Opaque, Step, Wait, ends, lanes_of, walk
from ksl.build.canvas.mermaid import mermaid
from ksl.build.canvas.outline import outline
from ksl.build.sites import SiteTable

from tests.property.machine import programs
from tests.unit.build.stand_in import is_context, kind_of, load, table_of

SEEDS = 600


def test_every_step_of_a_program_that_people_write_is_drawn_or_hidden(tmp_path: Path) -> None:
    with programs(tmp_path, [(f"p{seed}", seed, seed % 2 == 0) for seed in range(60)]) as project:
        for slug, table in project.tables.items():
            canvas = canvas_of(project, slug)
            check(canvas, table)
            assert canvas.unplaced == ()


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_no_step_of_any_program_is_lost(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 50):
        leaves = seed % 2 == 0
        function = load(tmp_path / f"flow{seed}.py", program(Random(seed), leaves=leaves))["body"]
        table = table_of(function)
        canvas = extract(function, table, kind_of=kind_of, is_context=is_context)
        check(canvas, table)
        assert leaves or canvas.unplaced == (), seed


def check(canvas: Canvas, table: SiteTable) -> None:
    keys = {(site.line, site.end_line, site.end_col): site.key or site.key_for("*") for site in table.sites}
    drawn = Counter(block.id for block in walk(canvas.blocks) if isinstance(block, Step | Wait))
    hidden = {step.id for block in walk(canvas.blocks) if isinstance(block, Opaque) for step in block.steps}
    unplaced = {site.key or site.key_for("*") for site in canvas.unplaced}
    assert all(times == 1 for times in drawn.values())
    assert not (set(drawn) & hidden)
    assert not (unplaced & (set(drawn) | hidden))
    assert set(drawn) | hidden | unplaced == set(keys.values())
    for step in steps(canvas.blocks):
        assert keys[step.at.line, step.at.end_line, step.at.end_col] == step.id
    for sequence in sequences(canvas.blocks):
        assert not any(ends((block,)) for block in sequence[:-1])
    assert all(step in outline(canvas) for step in drawn)
    leads_everywhere(mermaid(canvas))
    assert as_json(canvas)["workflow"] == table.workflow


def leads_everywhere(chart: str) -> None:
    """Every node of a flowchart but the first is led to."""
    _, *others = re.findall(r"^ +(n\d+)[^\s\w]", chart, re.MULTILINE)
    assert set(others) <= set(re.findall(r" (n\d+)$", chart, re.MULTILINE)), chart


def steps(blocks: tuple[Block, ...]) -> Iterator[Step | Wait]:
    for block in walk(blocks):
        if isinstance(block, Step | Wait):
            yield block
        elif isinstance(block, Opaque):
            yield from block.steps


def sequences(blocks: tuple[Block, ...]) -> Iterator[tuple[Block, ...]]:
    yield blocks
    for block in walk(blocks):
        for lane in lanes_of(block):
            yield lane.blocks


def program(rng: Random, *, leaves: bool) -> str:
    """Without `leaves` everything in it can be reached."""
    while True:
        text = Grammar(rng, leaves=leaves).text()
        try:
            compile(text, "flow.py", "exec")
        except SyntaxError:  # like a `return` below `except*`
            continue
        return text


CALLS = ("a.run({})", "b.run({})", "ctx.hook({})", "ctx.sleep({})", "w.run({})", "g.prompt({})", "z.run({})",
         'a.scope("x").run({})', "prompt_llm({})")  # fmt: skip


class Grammar:
    """Programs that parse, sensible or not: steps in every place where an expression may stand."""

    def __init__(self, rng: Random, *, leaves: bool) -> None:
        self.leaves = leaves
        self.rng = rng
        self.helpers = 0
        self.definitions: list[str] = []
        self.names = 0

    def text(self) -> str:
        body = self.block(3, "    ")
        head = ["import asyncio", "from ksl import bounded", *self.definitions]
        return "\n".join([*head, "async def body(xs, ctx):", *body, ""])

    def block(self, depth: int, indent: str) -> list[str]:
        lines: list[str] = []
        for _ in range(self.rng.randint(1, 4)):
            lines += [indent + line for line in self.statement(depth)]
        return lines

    def statement(self, depth: int) -> list[str]:
        rng, e = self.rng, self.expression
        inner = (lambda: self.block(depth - 1, "    ")) if depth else (lambda: ["    pass"])
        self.names += 1
        name = f"v{self.names}"
        kinds = 22
        match rng.randrange(kinds):
            case 0 | 1 | 2:
                return [e(2)]
            case 3:
                return [f"{name} = {e(2)}"]
            case 4:
                return [
                    f"{name} = {self.call(1)}",
                    e(1),
                    rng.choice([f"await {name}", f"xs[{name}]", "pass"]),
                ]
            case 5:
                return [
                    f"{name} = [{self.call(1)}, {self.call(0)}]",
                    rng.choice([f"await asyncio.gather(*{name})", f"await asyncio.wait({name})", "pass"]),
                ]
            case 6:
                return [f"if {e(1)}:", *inner(), f"elif {e(1)}:", *inner(), "else:", *inner()]
            case 7:
                return [f"if {e(0)}:", *inner()]
            case 8:
                return [
                    f"for {name} in {e(1)}:",
                    *inner(),
                    *(["else:", *inner()] if rng.random() < 0.4 else []),
                ]
            case 9:
                return [
                    f"while {rng.choice(['True', e(1)]) if self.leaves else e(1)}:",
                    *inner(),
                    rng.choice(["    break", "    continue", "    pass"]) if self.leaves else "    pass",
                ]
            case 10:
                return [
                    "try:", *inner(), f"except{rng.choice(['', '*'])} ValueError as {name}:", *inner(),
                    *(["else:", *inner()] if rng.random() < 0.4 else []),
                    *(["finally:", *inner()] if rng.random() < 0.4 else []),
                ]  # fmt: skip
            case 11:
                return [
                    f"match {e(1)}:", f"    case [{name}] if {e(1)}:", *("    " + each for each in inner()),
                    "    case _:", *("    " + each for each in inner()),
                ]  # fmt: skip
            case 12:
                return [f"async with asyncio.timeout({e(0)}):", *inner()]
            case 13:
                return [f"with open({e(1)}) as {name}:", *inner()]
            case 14:
                tasks = [
                    rng.choice(
                        [
                            f"    {name}.create_task({self.call(1)})",
                            f"    t = [{name}.create_task({self.call(1)}), {name}.create_task({self.call(0)})]",
                            f"    {e(1)}",
                            f"    if xs: {name}.create_task({self.call(1)})",
                            f"    for x in xs: {name}.create_task({self.call(1)})",
                        ]
                    )
                    for _ in range(3)
                ]
                return [f"async with asyncio.TaskGroup() as {name}:", *tasks]
            case 15:
                return [f"def {name}(x={e(0, awaits=False)}):", f"    return {self.call(0)}"]
            case 16:
                return [f"class {name}:", f"    x = {self.call(0)}"]
            case 17:
                return [f"assert {e(1)}, {e(1)}"]
            case 18 if depth < 3 and self.leaves:
                return [rng.choice([f"return {e(1)}", f"raise {e(1)}", f"return {self.call(0)}"])]
            case 19:
                return [f"{name}, {name}b = {e(1)}, {self.call(0)}", f"await {name}b"]
            case 20:
                return [f"xs[{e(0)}] += {e(1)}", f"del xs[{e(0)}]"]
            case _:
                return [f"async for {name} in {e(1)}:", *inner()]

    def expression(self, depth: int, *, awaits: bool = True) -> str:
        rng = self.rng
        if not depth:
            return f"(await {self.call(0)})" if awaits and rng.random() < 0.5 else "xs"
        e = lambda: self.expression(depth - 1, awaits=awaits)  # noqa: E731
        wait = "await " if awaits else ""
        forms = [
            lambda: f"({wait}{self.call(depth - 1)})",
            lambda: f"({wait}asyncio.gather({self.call(0)}, {self.call(depth - 1)}, *[{self.call(0)}]))",
            lambda: f"({wait}asyncio.gather(*[{self.call(0)} for i in {e()}]))",
            lambda: f"({wait}bounded(2, [{self.call(0)} for i in {e()} if i]))",
            lambda: f"({wait}asyncio.wait_for({self.call(0)}, {e()}))",
            lambda: f"({wait}asyncio.wait([{self.call(0)}]))",
            lambda: f"asyncio.create_task({self.call(0)})",
            lambda: f"({e()} if {e()} else {e()})",
            lambda: f"({wait}({self.call(0)} if {e()} else {self.call(0)}))",
            lambda: f"({e()} and {e()} or {e()})",
            lambda: f"[{e()} for i in {e()} if {e()}]",
            lambda: f"{{{e()}: {e()}}}",
            lambda: f"len({e()})",
            lambda: f"f'''{{{e()}}}'''",
            lambda: f"(lambda: {self.call(0)})",
            lambda: f"map({self.helper()}, xs)",
            lambda: f"(y := {e()})",
            lambda: f"{e()}[{e()}].z",
            lambda: f"({wait}{e()}.run())",
            lambda: self.call(0),
        ]
        return rng.choice(forms)()

    def call(self, depth: int) -> str:
        """Something that may be awaited."""
        rng = self.rng
        if rng.random() < 0.15:
            return f"{self.helper()}({self.expression(0)}, ctx)"
        inside = self.expression(depth - 1) if depth and rng.random() < 0.3 else ""
        return rng.choice(CALLS).format(inside)

    def helper(self) -> str:
        rng = self.rng
        if self.helpers and rng.random() < 0.3:
            return f"h{rng.randint(1, self.helpers)}"
        if self.helpers > 6:
            return "h1"
        self.helpers += 1
        name = f"h{self.helpers}"
        kind = rng.choice(["async def", "async def", "async def", "def"])
        body = "return a.run()" if kind == "def" else "return await a.run(x) if await ctx.hook() else x"
        self.definitions += [f"{kind} {name}(x, ctx):", f"    {body}"]
        return name
