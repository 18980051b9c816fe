"""Which nodes of a canvas a run can come to no more, while it is still under way.

A node is passed when its decision went another way, or when a block behind it was reached, and no loop around it
can bring it back. Where the run may still get there it is not passed: what a gather leaves running when one of its
branches raises goes on by itself, and so does whatever an opaque block started.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace

from ksl.build.canvas.blocks import (
    Block,
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
    lanes_of,
    walk,
)


@dataclass(frozen=True, slots=True)
class _Left:
    """How control stands to a sequence of blocks."""

    past: bool = False  # it left them, or never entered them, and does not come back
    whole: bool = False  # and no exception can have led out of them
    again: bool = False  # a loop around them may begin anew


def passed(blocks: tuple[Block, ...], reached: Set[str]) -> set[str]:
    """Ids of the nodes passed. `reached`: those that the body itself is known to have come to."""
    return set(_Sweep(reached).sequence(blocks, _Left()))


class _Sweep:
    def __init__(self, reached: Set[str]) -> None:
        self._reached = reached

    def sequence(self, blocks: tuple[Block, ...], left: _Left) -> Iterator[str]:
        newest = -1
        if not left.again:
            newest = max((n for n, block in enumerate(blocks) if self._is_reached((block,))), default=-1)
        for n, block in enumerate(blocks):
            behind = n < newest
            yield from self._block(block, replace(left, past=True, whole=True) if behind else left)

    def _block(self, block: Block, left: _Left) -> Iterator[str]:
        match block:
            case Step(id=id) | Wait(id=id):
                if left.past and id not in self._reached:
                    yield id
            case Decision(form=form, lanes=lanes):
                for lane in lanes:
                    elsewhere = form != "expression" and self._any(each for each in lanes if each is not lane)
                    yield from self._way(lane, left, elsewhere)
            case Loop(blocks=body, no_break=other):
                over = other is not None and self._any((other,))
                inside = left if left.past else replace(left, past=over and not left.again)
                yield from self.sequence(body, replace(inside, again=True))
                if other is not None:
                    yield from self.sequence(other.blocks, left)
            case Parallel(form=form, lanes=lanes, collects_errors=collects):
                # The others of a gather go on when one raises; a group waits for all of its tasks.
                sure = left.whole or collects or form == "task group"
                inside = left if sure else replace(left, past=False)
                if form == "bounded":
                    inside = replace(inside, again=True)  # its one lane is gone through many times
                for lane in lanes:
                    yield from self.sequence(lane.blocks, inside)
            case Try(blocks=body, handlers=handlers, always=always):
                doubtful = replace(left, whole=False)
                at_end = always is not None and self._any((always,))
                over = (at_end or self._any(handlers)) and not left.again
                yield from self.sequence(body, replace(doubtful, past=left.past or over))
                for lane in handlers:
                    # Several handlers of an `except*` may run.
                    others = [each for each in handlers if each is not lane and "*" not in each.label]
                    yield from self._way(lane, doubtful, at_end or self._any(others))
                if always is not None:
                    yield from self.sequence(always.blocks, doubtful)
            case Scope(blocks=body):
                yield from self.sequence(body, replace(left, whole=False))  # it may swallow what is raised
            case Helper(blocks=body):
                # Shielded, it goes on after whoever waits for it gave up.
                yield from self.sequence(body, left if left.whole else replace(left, past=False))
            case Opaque() | Terminal():
                return

    def _way(self, lane: Lane, left: _Left, elsewhere: bool) -> Iterator[str]:
        """A lane that is never entered when control is `elsewhere`."""
        never = elsewhere and not left.again and not left.past
        yield from self.sequence(lane.blocks, replace(left, past=True, whole=True) if never else left)

    def _any(self, lanes: Iterator[Lane] | tuple[Lane, ...] | list[Lane]) -> bool:
        return any(self._is_reached(lane.blocks) for lane in lanes)

    def _is_reached(self, blocks: tuple[Block, ...]) -> bool:
        return any(id in self._reached for block in walk(blocks) for id in ids_of(block))


def ids_of(block: Block) -> tuple[str, ...]:
    """Of the nodes that a block itself is, or hides."""
    match block:
        case Step(id=id) | Wait(id=id):
            return (id,)
        case Opaque(steps=steps):
            return tuple(step.id for step in steps)
        case _:
            return ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a node stands, as far as it matters to a failure: what is around it, outermost first."""

    tries: tuple[tuple[int, bool], ...] = ()  # which `try`, and whether in a handler or its `finally`
    lanes: tuple[tuple[int, int], ...] = ()  # which parallel block, and which lane of it
    opaque: bool = False


_NOWHERE = Standing()


def standings(blocks: tuple[Block, ...], around: Standing = _NOWHERE) -> Iterator[tuple[str, Standing]]:
    """Where each node stands, by its id."""
    for block in blocks:
        match block:
            case Step(id=node) | Wait(id=node):
                yield node, around
            case Opaque(steps=steps):
                yield from ((step.id, replace(around, opaque=True)) for step in steps)
            case Parallel(lanes=lanes):
                for n, lane in enumerate(lanes):
                    yield from standings(lane.blocks, replace(around, lanes=(*around.lanes, (id(block), n))))
            case Try(blocks=body):
                yield from standings(body, replace(around, tries=(*around.tries, (id(block), False))))
                for lane in lanes_of(block)[1:]:
                    yield from standings(
                        lane.blocks, replace(around, tries=(*around.tries, (id(block), True)))
                    )
            case _:
                for lane in lanes_of(block):
                    yield from standings(lane.blocks, around)


def shows_it_handled(failed: Standing, later: Standing) -> bool:
    """Whether a step that one task asked for after it had seen a failure proves that this was handled.

    A handler or a `finally` around the failure may raise it again; beside it in a group others may clean up.
    """
    if failed.opaque or later.opaque:
        return False
    around = {place for place, _ in failed.tries}
    if any(place in around and in_handler for place, in_handler in later.tries):
        return False
    lanes = dict(failed.lanes)
    return all(lanes.get(place, lane) == lane for place, lane in later.lanes)
