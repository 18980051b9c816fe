"""A canvas with its sub-workflows opened up: their own canvases, in a frame below the step that runs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

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


def expanded(canvas: Canvas, insides: Mapping[str, Canvas]) -> Canvas:
    """`insides` by the path of nodes that leads to them: "enrich-lead", "enrich-lead/score-lead".

    The ids of what is inside begin with that path. Places in the source stay those of the inner file.
    """
    return replace(canvas, blocks=_Opening(insides).blocks(canvas.blocks, ""))


class _Opening:
    def __init__(self, insides: Mapping[str, Canvas]) -> None:
        self._insides = insides

    def blocks(self, blocks: tuple[Block, ...], under: str) -> tuple[Block, ...]:
        return tuple(opened for block in blocks for opened in self._block(block, under))

    def _block(self, block: Block, under: str) -> Iterator[Block]:
        match block:
            case Step(id=id):
                path = f"{under}{id}"
                yield replace(block, id=path)
                inner = self._insides.get(path)
                if inner is not None:
                    yield Helper(inner.workflow, self.blocks(inner.blocks, f"{path}/"), block.at)
            case Wait(id=id):
                yield replace(block, id=f"{under}{id}")
            case Opaque(steps=steps):
                yield replace(block, steps=tuple(replace(step, id=f"{under}{step.id}") for step in steps))
            case Decision(lanes=lanes) | Parallel(lanes=lanes):
                yield replace(block, lanes=self._lanes(lanes, under))
            case Loop(blocks=blocks, no_break=other):
                yield replace(block, blocks=self.blocks(blocks, under), no_break=self._lane(other, under))
            case Try(blocks=blocks, handlers=handlers, always=always):
                yield replace(
                    block,
                    blocks=self.blocks(blocks, under),
                    handlers=self._lanes(handlers, under),
                    always=self._lane(always, under),
                )
            case Scope(blocks=blocks) | Helper(blocks=blocks):
                yield replace(block, blocks=self.blocks(blocks, under))
            case Terminal():
                yield block

    def _lanes(self, lanes: tuple[Lane, ...], under: str) -> tuple[Lane, ...]:
        return tuple(replace(lane, blocks=self.blocks(lane.blocks, under)) for lane in lanes)

    def _lane(self, lane: Lane | None, under: str) -> Lane | None:
        return None if lane is None else self._lanes((lane,), under)[0]
