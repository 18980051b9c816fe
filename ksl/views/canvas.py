"""What a workflow is, drawn from its source: the same picture for the terminal, for HTTP and for a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ksl.build.canvas import Canvas, canvas_of
from ksl.build.canvas.as_json import as_json
from ksl.build.canvas.boxes import Boxes, boxes
from ksl.build.canvas.lights import Lights
from ksl.build.canvas.mermaid import mermaid
from ksl.build.canvas.outline import outline
from ksl.build.canvas.svg import stylesheet, svg
from ksl.views.values import JsonObject
from ksl.views.workflows import unknown_workflow

if TYPE_CHECKING:
    from ksl.build.discover import Project


def canvas_json(project: Project, slug: str) -> JsonObject:
    """Files are named relative to the project folder. Errors, here and below: UnknownWorkflow."""
    return as_json(_canvas(project, slug), project.folder)


def canvas_outline(project: Project, slug: str, lights: Lights | None = None, *, ascii: bool = False) -> str:
    return outline(_canvas(project, slug), lights, ascii=ascii)


def canvas_boxes(project: Project, slug: str, lights: Lights | None = None, *, ascii: bool = False) -> Boxes:
    return boxes(_canvas(project, slug), lights, ascii=ascii)


def canvas_mermaid(project: Project, slug: str) -> str:
    return mermaid(_canvas(project, slug))


def canvas_svg(project: Project, slug: str, lights: Lights | None = None, *, style: bool = True) -> str:
    """Without `style` for a page that serves `canvas_stylesheet()` itself."""
    return svg(_canvas(project, slug), lights, style=style)


def canvas_stylesheet() -> str:
    return stylesheet()


def _canvas(project: Project, slug: str) -> Canvas:
    if slug not in project.workflows:
        raise unknown_workflow(slug, list(project.workflows))
    return canvas_of(project, slug)
