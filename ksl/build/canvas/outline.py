"""A canvas as indented text, a line for each block: for the terminal, for diffs and for screen readers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

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

WIDTH = 100
MARKS = {"action": "▸", "agent": "◆", "llm": "✦", "workflow": "»", "sleep": "◷", "hook": "‖", "dynamic": "?"}
_TERMINALS = {"return": "■", "raise": "✗", "break": "⏏", "continue": "↺"}


def outline(canvas: Canvas) -> str:
    lines = [line for block in canvas.blocks for line in _lines(block)] or ["no steps"]
    hidden = [f"unreached {site.key or 'a dynamic step'} (line {site.line})" for site in canvas.unplaced]
    return "\n".join(_cut(line) for line in [*lines, *hidden]) + "\n"


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Step() | Wait():
            yield _step(block)
        case Terminal(kind=kind, label=label):
            yield f"{_TERMINALS[kind]} {kind} {label if kind == 'raise' else ''}".rstrip()
        case Opaque(code=code, label=label, steps=steps):
            yield f"▒ {code} {label}"
            for step in steps:
                yield f"▒  {MARKS[step.kind]} {step.id}"
        case Decision(form="match", label=label, lanes=lanes):
            yield from _frame(f"match {label}", [])
            yield from _lanes([(_case(lane.label), lane) for lane in lanes])
        case Decision(form="expression", label=label, lanes=lanes):
            first, *others = lanes
            yield from _frame(f"if {label}", first.blocks)
            yield from _lanes([(lane.label, lane) for lane in others])
        case Decision(lanes=lanes):
            first, *others = lanes
            yield from _frame(f"if {first.label}", first.blocks)
            yield from _lanes(
                [(lane.label if lane.label == "else" else f"elif {lane.label}", lane) for lane in others]
            )
        case Loop(label=label, blocks=blocks, no_break=other):
            yield from _frame(f"↻ {label}", blocks)
            yield from _lanes([(other.label, other)] if other is not None else [])
        case Parallel(form=form, label=label, lanes=lanes, collects_errors=collects):
            notes = [note for note in (label, "collects errors" if collects else "") if note]
            title = f"‖ {form}{' ' if notes else ''}{', '.join(notes)}"
            first, *others = lanes
            yield from _frame(
                " ".join(filter(None, [title, first.label and f"· {first.label}"])), first.blocks
            )
            yield from _lanes([(lane.label, lane) for lane in others], mark="├ ")
        case Try(blocks=blocks, handlers=handlers, always=always):
            yield from _frame("try", blocks)
            yield from _lanes([(lane.label, lane) for lane in handlers], mark="├╌", close=always is None)
            if always is not None:
                yield from _lanes([(always.label, always)])
        case Scope(label=label, blocks=blocks):
            yield from _frame(label, blocks)
            yield "└"
        case Helper(name=name, blocks=blocks):
            yield from _frame(f"ƒ {name}()", blocks)
            yield "└"
        case _:
            assert_never(block)


def _case(label: str) -> str:
    return label if label in ("else", "no match") else f"case {label}"


def _step(block: Step | Wait) -> str:
    chips = [f"{one.field}={one.expression}" if one.field else one.expression for one in block.inputs]
    if isinstance(block, Step) and block.inputs_hidden:
        chips.append("…")
    return f"{MARKS[block.kind]} {block.id}{'  ' if chips else ''}{', '.join(chips)}"


def _frame(title: str, blocks: tuple[Block, ...] | list[Block]) -> Iterator[str]:
    yield f"┌ {title}".rstrip()
    for block in blocks:
        for line in _lines(block):
            yield f"│  {line}"


def _lanes(lanes: list[tuple[str, Lane]], *, mark: str = "├", close: bool = True) -> Iterator[str]:
    for title, lane in lanes:
        if title in ("else", "no match") and not lane.blocks:
            continue  # passes straight through, as an `if` without `else` does
        yield f"{mark.rstrip()} {title}".rstrip()
        for block in lane.blocks:
            for line in _lines(block):
                yield f"│  {line}"
    if close:
        yield "└"


def _cut(line: str) -> str:
    line = " ".join(line.splitlines())
    return line if len(line) <= WIDTH else line[: WIDTH - 1].rstrip() + "…"
