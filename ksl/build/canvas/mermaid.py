"""A canvas as a mermaid flowchart, for pages that draw those. Mermaid may place branches in another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

from ksl.build.canvas import words
from ksl.build.canvas.blocks import (
    Block,
    Canvas,
    Decision,
    Helper,
    Lane,
    Loop,
    Opaque,
    Parallel,
    Scope,
    Step,
    Terminal,
    Try,
    Wait,
)
from ksl.build.canvas.blocks import ends as leads_nowhere
from ksl.build.canvas.fitting import cut

LABEL_MAX = 60


def mermaid(canvas: Canvas) -> str:
    return "\n".join(_Chart(canvas).lines()) + "\n"


@dataclass(frozen=True, slots=True)
class _End:
    """A loose end that the next node is joined to."""

    node: str
    label: str = ""
    style: str = "-->"


@dataclass(frozen=True, slots=True)
class _Loop:
    head: str
    breaks: list[_End] = field(default_factory=list[_End])


class _Chart:
    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._lines: list[str] = []
        self._edges: list[str] = []
        self._loops: list[_Loop] = []
        self._returns: list[list[_End]] = []  # of the helpers that are open
        self._count = 0
        self._depth = 1

    def lines(self) -> Iterator[str]:
        start = self._node(f'(["{_text(self._canvas.workflow)}"])', [])
        self._sequence(self._canvas.blocks, [_End(start)])
        yield "flowchart TD"
        yield from self._lines
        yield from self._edges

    def _sequence(self, blocks: tuple[Block, ...], ends: list[_End]) -> list[_End]:
        for block in blocks:
            loose = self._block(block, ends)
            if leads_nowhere((block,)):
                ends = []
            else:
                # Where every way out is a return, what a manager swallows leads on.
                ends = loose or [_End(end.node, "on error", "-.->") for end in ends]
        return ends

    def _block(self, block: Block, ends: list[_End]) -> list[_End]:
        match block:
            case Step(id=id, kind="workflow"):
                return [_End(self._node(f'[["{_text(id)}"]]', ends))]
            case Step(id=id):
                return [_End(self._node(f'["{_text(id)}"]', ends))]
            case Wait(id=id):
                return [_End(self._node(f'(["{_text(id)}"])', ends))]
            case Terminal(kind="break" | "continue" as kind) if self._loops:
                node = self._node(f'(("{kind}"))', ends)
                if kind == "break":
                    self._loops[-1].breaks.append(_End(node))
                else:
                    self._edge(_End(node, "", "-.->"), self._loops[-1].head)
                return []
            case Terminal(kind=kind):
                node = self._node(f'(("{_text(words.terminal(block))}"))', ends)
                if kind == "return" and self._returns:
                    self._returns[-1].append(_End(node))
                return []
            case Opaque(code=code, steps=steps, breaks=breaks):
                ids = ", ".join(step.id for step in steps)
                node = self._node(f'[/"{_text(f"{code}: {ids}")}"/]', ends)
                if breaks and self._loops:
                    self._loops[-1].breaks.append(_End(node))
                return [_End(node)]
            case Decision(lanes=lanes):
                asked = self._node(f'{{"{_text(words.asked(block))}"}}', ends)
                return self._fan(lanes, [_End(asked, way) for way in words.ways(block)])
            case Parallel(form=form, lanes=lanes):
                self._open(words.title(block))
                fork = self._node(f'[/"{_text(form)}"\\]', ends)
                loose = self._fan(lanes, [_End(fork, lane.label) for lane in lanes])
                self._close()
                return loose
            case Loop(label=label, blocks=blocks, no_break=other):
                self._open(label)
                head = self._node(f'{{{{"{_text(label)}"}}}}', ends)
                loop = _Loop(head)
                self._loops.append(loop)
                for end in self._sequence(blocks, [_End(head)]):
                    self._edge(_End(end.node, end.label or "next", "-.->"), head)
                self._loops.pop()
                self._close()
                done = [] if label == "repeat" else [_End(head, "done")]
                if other is not None:
                    done = self._sequence(other.blocks, done)
                return [*done, *loop.breaks]
            case Try(blocks=blocks, handlers=handlers, always=always):
                self._open(words.title(block))
                guard = self._node('["try"]', ends)
                loose = self._sequence(blocks, [_End(guard)])
                self._close()
                for lane in handlers:
                    loose += self._sequence(lane.blocks, [_End(guard, lane.label, "-.->")])
                if always is None or not always.blocks:
                    return loose
                self._open("finally")
                # What leaves the try by an error, or by a way out inside it, comes through here too.
                loose = self._sequence(always.blocks, [*loose, _End(guard, "in any case", "-.->")])
                self._close()
                return loose
            case Scope(blocks=blocks):
                return self._inside(words.title(block), blocks, ends)
            case Helper(blocks=blocks):
                self._returns.append([])
                loose = self._inside(words.title(block), blocks, ends)
                return [*loose, *self._returns.pop()]  # a return in it goes on behind it
            case _:
                assert_never(block)

    def _fan(self, lanes: tuple[Lane, ...], starts: list[_End]) -> list[_End]:
        loose: list[_End] = []
        for lane, start in zip(lanes, starts, strict=True):
            loose += self._sequence(lane.blocks, [start])
        return loose

    def _inside(self, label: str, blocks: tuple[Block, ...], ends: list[_End]) -> list[_End]:
        self._open(label)
        loose = self._sequence(blocks, ends)
        self._close()
        return loose

    def _node(self, shape: str, ends: list[_End]) -> str:
        self._count += 1
        name = f"n{self._count}"
        self._lines.append(f"{'  ' * self._depth}{name}{shape}")
        for end in ends:
            self._edge(end, name)
        return name

    def _edge(self, end: _End, to: str) -> None:
        label = f'|"{_text(end.label)}"|' if end.label else ""
        self._edges.append(f"  {end.node} {end.style}{label} {to}")

    def _open(self, title: str) -> None:
        self._count += 1
        self._lines.append(f'{"  " * self._depth}subgraph g{self._count}["{_text(title)}"]')
        self._depth += 1

    def _close(self) -> None:
        self._depth -= 1
        self._lines.append(f"{'  ' * self._depth}end")


def _text(label: str) -> str:
    """Between quotes only the quote, the hash and what looks like HTML mean something to mermaid."""
    line = cut(words.one_line(label), LABEL_MAX, len)
    for letter, name in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        line = line.replace(letter, name)
    return line
