"""Step ids: `<key>[<place>]#<n>`, below a parent's id inside a sub-workflow.

The key comes from the call's place in the source, the place from the task that the call was made in, `n` from
how often that site was reached there. So an id depends neither on line numbers nor on running order.
"""

from __future__ import annotations

import asyncio
from types import FrameType
from typing import TYPE_CHECKING

from ksl.engine.loop import RunLoop, RunTask
from ksl.errors import UnknownSite

if TYPE_CHECKING:
    from ksl.build.sites import SiteTable
    from ksl.define.workflow import Workflow


class Scope:
    """One workflow body: the run's own, or a sub-workflow's below `prefix`."""

    __slots__ = ("counts", "prefix", "table", "workflow")

    def __init__(self, workflow: Workflow[object, object], table: SiteTable, *, prefix: str) -> None:
        self.workflow = workflow
        self.table = table
        self.prefix = prefix  # "" or the sub-workflow's step id and a slash
        self.counts: dict[str, int] = {}

    def next_id(self, key: str, place: str) -> str:
        placed = f"{key}[{place}]" if place else key
        n = self.counts.get(placed, 0)
        self.counts[placed] = n + 1
        return f"{self.prefix}{placed}#{n}"


def step_id(loop: RunLoop, frame: FrameType, slug: str, what: str) -> str:
    """The id of the step called at `frame`."""
    task = asyncio.current_task(loop)  # pyright: ignore[reportArgumentType]
    if not isinstance(task, RunTask):
        raise UnknownSite(
            f"{what} was called from a callback of the body's loop. Call it from the body itself."
        )
    scope = task.scope
    # The table's cache at hand, since this is asked for every call; `find` fills it.
    cached = scope.table.cache.get(id(frame.f_code))
    site = cached.get(frame.f_lasti) if cached is not None else None
    if site is None:
        site = scope.table.find(frame.f_code, frame.f_lasti)
    # `b.run(*map(a.run, xs))` runs a's step from the very instruction that calls b.
    if site is None or site.callee not in (None, slug):
        raise UnknownSite(_unknown(scope, frame, what))
    key = site.key or site.key_for(slug)
    placed = f"{key}[{task.place}]" if task.place else key
    counts = scope.counts
    n = counts.get(placed, 0)
    counts[placed] = n + 1
    return f"{scope.prefix}{placed}#{n}"


def where(frame: FrameType) -> str:
    """file:line of a frame, the file as people know it."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _unknown(scope: Scope, frame: FrameType, what: str) -> str:
    at = where(frame)
    file = scope.table.file
    if frame.f_code.co_filename != file:
        return (
            f"{at}: {what} was called outside the workflow's own file ({file}), so it has no place on the "
            f"canvas and no id (rule KSL001). Move the call into the body of {scope.workflow.slug} or into a "
            "helper in the same file."
        )
    return (
        f"{at}: {what} was called in a way that the source does not show as a call of it (rule KSL005: a step "
        "used as a value, through partial, map or getattr). Write the call where it runs: await x.run(...)."
    )
