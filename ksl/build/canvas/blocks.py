"""What a canvas is made of: a tree of blocks, each tied to its place in the source.

A sequence of blocks runs from the first to the last. Edges are not kept: they follow from the tree.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ksl.build.site import Site, SiteKind
from ksl.build.source import SourceFile


@dataclass(frozen=True, slots=True)
class Range:
    """Lines count from 1; columns are UTF-8 bytes from 0, as in `ast`."""

    line: int
    col: int
    end_line: int
    end_col: int

    @classmethod
    def of(cls, node: ast.stmt | ast.expr | ast.excepthandler | Site) -> Range:
        if isinstance(node, Site):
            return cls(node.line, node.col, node.end_line, node.end_col)
        return cls(node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0)


@dataclass(frozen=True, slots=True)
class Input:
    """`field = expression` of a step call; the field is empty where the argument is positional."""

    field: str
    expression: str


@dataclass(frozen=True, slots=True)
class Step:
    id: str  # the site's key; "*~d1" at a dynamic site, whose callee is only met at run time
    kind: SiteKind
    callee: str | None  # the slug
    inputs: tuple[Input, ...]
    inputs_hidden: bool  # some are given by * or **
    at: Range


@dataclass(frozen=True, slots=True)
class Wait:
    """A sleep or a hook. A hook stands where its handle is awaited, `at` is where it is made."""

    id: str
    kind: Literal["sleep", "hook"]
    inputs: tuple[Input, ...]
    at: Range


@dataclass(frozen=True, slots=True)
class Lane:
    """One of several ways: a branch, a parallel lane, a handler. Without blocks it passes straight through."""

    label: str
    blocks: tuple[Block, ...]
    at: Range


@dataclass(frozen=True, slots=True)
class Decision:
    label: str  # what is asked: the condition, or what is matched
    form: Literal["if", "match", "expression"]
    lanes: tuple[Lane, ...]
    at: Range


@dataclass(frozen=True, slots=True)
class Loop:
    label: str  # "for x in xs", "while more", "repeat"
    blocks: tuple[Block, ...]
    no_break: Lane | None  # the loop's `else`
    at: Range


@dataclass(frozen=True, slots=True)
class Parallel:
    form: Literal["gather", "task group", "bounded"]
    label: str
    lanes: tuple[Lane, ...]
    collects_errors: bool
    at: Range


@dataclass(frozen=True, slots=True)
class Try:
    blocks: tuple[Block, ...]  # with those of `else`
    handlers: tuple[Lane, ...]
    always: Lane | None
    at: Range


@dataclass(frozen=True, slots=True)
class Scope:
    label: str  # "timeout 300", "with connection()"
    blocks: tuple[Block, ...]
    at: Range


@dataclass(frozen=True, slots=True)
class Helper:
    """A function of the same file, called once and drawn in place of its call."""

    name: str
    blocks: tuple[Block, ...]
    at: Range


@dataclass(frozen=True, slots=True)
class Terminal:
    """`return` inside a helper ends that helper only."""

    kind: Literal["return", "raise", "break", "continue"]
    label: str  # what is returned or raised
    at: Range


@dataclass(frozen=True, slots=True)
class Opaque:
    """Source that is not drawn. Its steps still light, as one block."""

    code: str  # the build rule that says why
    label: str
    steps: tuple[Step | Wait, ...]
    at: Range
    breaks: bool = False  # some way through it leaves the loop around it


Block = Step | Wait | Decision | Loop | Parallel | Try | Scope | Helper | Terminal | Opaque


@dataclass(frozen=True, slots=True)
class Canvas:
    workflow: str
    source: SourceFile
    at: Range  # of the workflow's function
    blocks: tuple[Block, ...]
    unplaced: tuple[Site, ...]  # neither drawn nor in an opaque block: code that is never reached


def lanes_of(block: Block) -> tuple[Lane, ...]:
    """The sequences inside a block, in the order of the source."""
    match block:
        case Decision(lanes=lanes) | Parallel(lanes=lanes):
            return lanes
        case Loop(label=label, blocks=blocks, no_break=other, at=at):
            return (Lane(label, blocks, at), *((other,) if other is not None else ()))
        case Try(blocks=blocks, handlers=handlers, always=always, at=at):
            return (Lane("try", blocks, at), *handlers, *((always,) if always is not None else ()))
        case Scope(label=label, blocks=blocks, at=at) | Helper(name=label, blocks=blocks, at=at):
            return (Lane(label, blocks, at),)
        case Step() | Wait() | Terminal() | Opaque():
            return ()


def walk(blocks: tuple[Block, ...]) -> Iterator[Block]:
    """Every block, each before those inside it."""
    for block in blocks:
        yield block
        for lane in lanes_of(block):
            yield from walk(lane.blocks)


def ends(blocks: tuple[Block, ...]) -> bool:
    """Whether nothing that follows these blocks is ever reached."""
    if not blocks:
        return False
    match blocks[-1]:
        case Terminal():
            return True
        case Decision(lanes=lanes):
            return all(ends(lane.blocks) for lane in lanes)
        case Try(blocks=protected, handlers=handlers, always=always):
            if always is not None and ends(always.blocks):
                return True
            return ends(protected) and all(ends(lane.blocks) for lane in handlers)
        case Loop(label=label, blocks=blocks, no_break=other):
            over = label == "repeat" or (other is not None and ends(other.blocks))
            return over and not breaks(blocks)
        case Scope(label=label, blocks=blocks) if label.startswith("timeout"):
            return ends(blocks)  # what it raises leaves it, too; another manager may swallow that
        case Parallel(form="task group", lanes=lanes):
            return any(lane.label == "body" and ends(lane.blocks) for lane in lanes)
        case _:
            return False


def breaks(blocks: tuple[Block, ...]) -> bool:
    """Whether these blocks, the body of a loop, leave that loop by `break`."""
    for block in blocks:
        match block:
            case Terminal(kind="break") | Opaque(breaks=True):
                return True
            case Loop(no_break=other):
                if other is not None and breaks(other.blocks):
                    return True
            case _:
                if any(breaks(lane.blocks) for lane in lanes_of(block)):
                    return True
    return False
