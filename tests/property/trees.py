"""Random trees of blocks, also such as no program has: any nesting, and labels that are hard to print."""

from __future__ import annotations

from random import Random
from typing import Literal

from ksl.build.canvas.blocks import (
    Block,
    Canvas,
    Decision,
    Helper,
    Input,
    Lane,
    Loop,
    Opaque,
    Parallel,
    Range,
    Scope,
    Step,
    Terminal,
    Try,
    Wait,
    ends,
)
from ksl.build.canvas.lights import Light, Lights, NodeState
from ksl.build.canvas.words import PRESSING
from ksl.build.site import Site
from ksl.build.source import SourceFile

AT = Range(1, 0, 1, 1)
LABELS = (
    "x",
    "order.total > 10000",
    "answer == 'rework' and len(draft) > 2000 and not draft.startswith('Dear reader')",
    '<b>&amp;"quoted"</b> ]]> <!-- -->',
    "'日本語のラベル' in 名前",
    "e\u0301tat == 'pre\u0301t'",
    "\x1b[31mred\x07\u200b\ufffe\ud800",
    "a_very_long_name_without_any_space_in_it_that_no_line_could_ever_hold_as_a_whole",
    "\u05d0\u05d1\u05d2 \u0627\u0628\u062c",
    "🙂" * 30,
)
KINDS = ("action", "workflow", "agent", "llm", "dynamic")


def tree(seed: int) -> Canvas:
    return _Tree(Random(seed)).canvas()


def lit(canvas_ids: list[str], seed: int) -> Lights:
    rng = Random(seed)
    return {id: _light(rng) for id in canvas_ids if rng.random() < 0.8}


def _light(rng: Random) -> Light:
    counts: dict[NodeState, int] = {
        state: rng.randint(1, 30) for state in rng.sample(PRESSING, rng.randint(0, 3))
    }
    began = rng.choice([None, 1_000])
    ended = began + rng.randint(0, 10**9) if began is not None and rng.random() < 0.7 else None
    return Light(rng.choice(PRESSING), counts, rng.randint(0, 4), rng.choice(["", *LABELS]), began, ended)


class _Tree:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.count = 0

    def canvas(self) -> Canvas:
        blocks = self.blocks(self.rng.choice((1, 2, 2, 3, 3)), empty=0.1)
        source = SourceFile("flow.py", "pass\n")
        unplaced = (self.site(),) if self.rng.random() < 0.1 else ()
        return Canvas(self.label(), source, AT, blocks, unplaced)

    def blocks(self, depth: int, *, empty: float) -> tuple[Block, ...]:
        if self.rng.random() < empty:
            return ()
        made: list[Block] = []
        for _ in range(self.rng.choice((1, 1, 2, 3, 4))):
            made.append(self.block(depth))
            if ends((made[-1],)):  # what follows is never drawn
                break
        return tuple(made)

    def block(self, depth: int) -> Block:
        rng = self.rng
        if not depth or rng.random() < 0.35:
            return self.leaf()
        match rng.randrange(7):
            case 0 | 1:
                form: Literal["if", "match", "expression"] = rng.choice(("if", "match", "expression"))
                many = 2 if form == "expression" else rng.choice((2, 2, 2, 3, 4))
                lanes = [self.lane(self.label(), depth, empty=0.3) for _ in range(many)]
                return Decision(self.label(), form, tuple(lanes), AT)
            case 2:
                other = self.lane("no break", depth, empty=0.3) if rng.random() < 0.3 else None
                label = rng.choice(("repeat", f"for x in {self.label()}"))
                return Loop(label, self.blocks(depth - 1, empty=0.1), other, AT)
            case 3:
                lanes = [
                    self.lane(rng.choice(("", self.label())), depth, empty=0.1)
                    for _ in range(rng.randint(1, 4))
                ]
                forms: tuple[Literal["gather", "task group", "bounded"], ...] = (
                    "gather",
                    "task group",
                    "bounded",
                )
                return Parallel(
                    rng.choice(forms), rng.choice(("", self.label())), tuple(lanes), rng.random() < 0.3, AT
                )
            case 4 | 5:
                handlers = [
                    self.lane(f"on {self.label()}", depth, empty=0.2) for _ in range(rng.randint(0, 3))
                ]
                always = (
                    self.lane("finally", depth, empty=0.2) if not handlers or rng.random() < 0.4 else None
                )
                return Try(self.blocks(depth - 1, empty=0.1), tuple(handlers), always, AT)
            case _:
                blocks = self.blocks(depth - 1, empty=0.1)
                return (
                    Scope(self.label(), blocks, AT)
                    if rng.random() < 0.5
                    else Helper(self.label(), blocks, AT)
                )

    def leaf(self) -> Block:
        rng = self.rng
        match rng.randrange(10):
            case 0:
                return Terminal(
                    rng.choice(("return", "raise", "break", "continue")), rng.choice(("", self.label())), AT
                )
            case 1:
                return Opaque(
                    "KSL103", self.label(), tuple(self.step() for _ in range(rng.randint(1, 3))), AT
                )
            case _:
                return self.step()

    def step(self) -> Step | Wait:
        rng = self.rng
        self.count += 1
        inputs = tuple(Input(rng.choice(("", "field")), self.label()) for _ in range(rng.randint(0, 3)))
        name = rng.choice(("a", "send-mail", "an-action-of-a-very-long-name-indeed-longer-than-most", "名前"))
        if rng.random() < 0.2:
            return Wait(f"{name}~{self.count}", rng.choice(("sleep", "hook")), inputs, AT)
        return Step(f"{name}~{self.count}", rng.choice(KINDS), name, inputs, rng.random() < 0.2, AT)

    def lane(self, label: str, depth: int, *, empty: float) -> Lane:
        return Lane(label, self.blocks(depth - 1, empty=empty), AT)

    def label(self) -> str:
        return self.rng.choice(LABELS)

    def site(self) -> Site:
        return Site("b", "action", "b", "flow.py", 3, 0, 3, 1, "body", "body")
