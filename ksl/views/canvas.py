"""A workflow's canvas as data: of today's source, or of the version that a run was started with, lit by the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ksl.build.canvas import Canvas, canvas_of
from ksl.build.canvas.as_json import as_json
from ksl.build.canvas.blocks import Step, walk
from ksl.build.canvas.code_row import stored_canvas
from ksl.build.canvas.lights import Light
from ksl.errors import UnknownCanvas, UnknownRun
from ksl.log.store import Store
from ksl.records import RunRow
from ksl.records.under_way import UnderWay
from ksl.views.events import unknown_run
from ksl.views.lights import Fold, has_ended
from ksl.views.times import rfc3339_or_none
from ksl.views.values import JsonObject
from ksl.views.workflows import unknown_workflow

if TYPE_CHECKING:
    from ksl.build.discover import Project

_MANY = 5_000  # events
_DEEP = 5  # levels of workflows inside workflows that are opened
_NOTHING: Mapping[str, UnderWay] = {}


def canvas_json(project: Project, slug: str, *, expand: bool = False) -> JsonObject:
    """Of the source as it is loaded. Files are named relative to the project folder.

    Shape:   with `expand`, `insides` has the canvases of sub-workflows by the path of nodes that leads to each.
    Errors:  UnknownWorkflow.
    """
    if slug not in project.workflows:
        raise unknown_workflow(slug, project.defined)
    canvas = canvas_of(project, slug)
    shown = as_json(canvas, project.folder)
    if expand:
        insides = _insides(canvas, lambda inner: _drawn_now(project, inner))
        shown["insides"] = {path: as_json(inner, project.folder) for path, inner in insides.items()}
    return shown


async def run_canvas_json(
    store: Store,
    project: Project | None,
    slug: str,
    run_id: str,
    *,
    now_ms: int,
    under_way: Mapping[str, UnderWay] = _NOTHING,
    expand: bool = False,
) -> JsonObject:
    """The canvas of the code that a run was started with, and where the run is on it.

    Shape:   adds `run`; `changed`, whether today's source is another (null where there is none); `nodes` by id, those
             that are pending left out; `elsewhere`, ids of steps that later code asked for and this canvas has not.
    Errors:  UnknownRun; UnknownCanvas where the version was not kept; DamagedEvent.
    """
    row = await store.run(run_id)
    if row is None:
        raise unknown_run(run_id)
    if row.workflow != slug:
        raise UnknownRun(
            f"Run {run_id} is one of {row.workflow}, not of {slug}: ask for it with that workflow."
        )
    today = project.code_version(slug) if project is not None and slug in project.tables else None
    of_then = await _canvases(store, project, row, today)
    canvas = of_then(slug)
    if canvas is None:
        raise _not_kept(row)
    events = await store.events(run_id)
    root = project.folder if project is not None else None
    insides = _insides(canvas, of_then) if expand else {}

    def lit() -> JsonObject:
        fold = Fold(events, now_ms=now_ms, finished=has_ended(events), under_way=under_way)
        return {
            "nodes": _nodes(fold.lights(canvas)),
            "elsewhere": fold.elsewhere(canvas),
            "insides": {
                path: as_json(inner, root) | {"nodes": _nodes(fold.lights(inner, inside=path))}
                for path, inner in insides.items()
            },
        }

    # A run of a hundred thousand steps takes the better part of a second, in which others have questions too.
    told = lit() if len(events) < _MANY else await asyncio.to_thread(lit)
    if not expand:
        del told["insides"]
    return {
        **as_json(canvas, root),
        "run": {"run_id": run_id, "status": row.status.value, "code_version": row.code_version},
        "changed": None if today is None else today != row.code_version,
        **told,
    }


async def _canvases(
    store: Store, project: Project | None, row: RunRow, today: str | None
) -> Callable[[str], Canvas | None]:
    """By slug, those of the code that the run was started with."""
    kept = await store.code(row.workflow, row.code_version) if row.code_version is not None else None
    if kept is not None:
        return lambda slug: stored_canvas(kept, slug)
    if project is not None and today is not None and today == row.code_version:
        return lambda slug: _drawn_now(project, slug)
    raise _not_kept(row)


def _not_kept(row: RunRow) -> UnknownCanvas:
    return UnknownCanvas(
        f"run {row.run_id} of {row.workflow} was started with version {row.code_version or 'unknown'} of the code, "
        "whose canvas was not kept: it is older than ksl's keeping them. It is not drawn on other source. Ask for the "
        "canvas without the run, or for the run's steps."
    )


def _drawn_now(project: Project, slug: str) -> Canvas | None:
    return canvas_of(project, slug) if slug in project.tables else None


def _insides(canvas: Canvas, of: Callable[[str], Canvas | None]) -> dict[str, Canvas]:
    """The canvases of all that it runs inside, by path. A workflow that runs itself is opened once."""
    found: dict[str, Canvas] = {}
    pending: list[tuple[str, Canvas, tuple[str, ...]]] = [("", canvas, (canvas.workflow,))]
    while pending:
        under, outer, around = pending.pop(0)
        for block in walk(outer.blocks):
            if isinstance(block, Step) and block.kind == "workflow" and block.callee is not None:
                if block.callee in around or len(around) > _DEEP or (inner := of(block.callee)) is None:
                    continue
                path = f"{under}{block.id}"
                found[path] = inner
                pending.append((f"{path}/", inner, (*around, block.callee)))
    return found


def _nodes(lights: Mapping[str, Light]) -> JsonObject:
    return {
        id: {
            "state": light.state,
            "counts": dict(light.counts),
            "tries": light.tries,
            "note": light.note,
            "started_at": rfc3339_or_none(light.started_at_ms),
            "finished_at": rfc3339_or_none(light.finished_at_ms),
        }
        for id, light in lights.items()
    }
