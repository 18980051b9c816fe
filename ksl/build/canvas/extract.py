"""From a workflow's function and its site table to its canvas."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING

from ksl.build.canvas.blocks import Block, Canvas, Range
from ksl.build.canvas.draft import Draft
from ksl.build.canvas.reached import Reached
from ksl.build.canvas.statements import Statements
from ksl.build.site import KindOf
from ksl.build.sites import SiteTable
from ksl.build.source import wrapped_chain
from ksl.errors import SourceMissing, UnknownWorkflow

if TYPE_CHECKING:
    from ksl.build.discover import Project


def canvas_of(project: Project, slug: str) -> Canvas:
    """Errors: UnknownWorkflow."""
    if slug not in project.workflows or slug not in project.tables:
        raise UnknownWorkflow(f"this project has no workflow {slug!r}.")
    if slug not in project.canvases:
        project.canvases[slug] = extract(project.workflows[slug].function, project.tables[slug])
    return project.canvases[slug]


def extract(
    function: Callable[..., object],
    table: SiteTable,
    *,
    kind_of: KindOf | None = None,
    is_context: Callable[[object], bool] | None = None,
) -> Canvas:
    """`kind_of` and `is_context` are those that the table was made with, by default ksl's own."""
    if kind_of is None or is_context is None:
        from ksl.build import kinds

        kind_of, is_context = kind_of or kinds.kind_of, is_context or kinds.is_context
    reached = Reached(table, kind_of=kind_of, is_context=is_context)
    chain = [each for each in wrapped_chain(function) if _is_here(each, table)]
    frames = [frame for frame in map(reached.enter, chain) if frame is not None]
    if not frames:
        raise SourceMissing(
            f"{table.file} does not hold the function of workflow {table.workflow}. "
            "The file changed while it was being loaded: load it again."
        )
    draft = Draft(reached)
    blocks: list[Block] = []
    for wrapper in frames[:-1]:
        # What stands around the workflow's own function may call it in any way.
        blocks += draft.opaque("KSL004", reached.below(wrapper.node.body, wrapper), wrapper.node)
    innermost = frames[-1]
    blocks += Statements(draft, innermost).body()
    return Canvas(table.workflow, table.source, Range.of(innermost.node), tuple(blocks), draft.unplaced)


def _is_here(function: FunctionType, table: SiteTable) -> bool:
    return function.__code__.co_filename == table.file
