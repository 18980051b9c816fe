"""What is kept of the code that a run is started with: its canvases, its step calls and its source."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from ksl.build.canvas.as_json import as_json, sites_json
from ksl.build.canvas.blocks import Canvas
from ksl.build.canvas.extract import canvas_of
from ksl.build.canvas.from_json import from_json
from ksl.build.failure import relative
from ksl.records import CodeRow

if TYPE_CHECKING:
    from ksl.build.discover import Project

_log = logging.getLogger("ksl.build")


def code_row(project: Project, slug: str) -> CodeRow:
    """Of the code as it is loaded. Errors: UnknownWorkflow."""
    version = project.code_version(slug)
    tables = project.reached(slug)
    canvases: dict[str, Any] = {}
    for table in tables:
        try:
            canvases[table.workflow] = as_json(canvas_of(project, table.workflow), project.folder)
        except Exception:
            # A run is worth more than its picture.
            _log.exception("the canvas of workflow %s cannot be drawn; its runs go on", table.workflow)
    return CodeRow(
        workflow=slug,
        code_version=version,
        canvases=_encode(canvases),
        sites=_encode({table.workflow: sites_json(table) for table in tables}),
        files=_encode({relative(table.file, project.folder): table.source.text for table in tables}),
    )


def stored_canvas(row: CodeRow, slug: str) -> Canvas | None:
    """The canvas of a workflow in that version of the code; None for one that it does not run inside."""
    shown = json.loads(row.canvases).get(slug)
    return None if shown is None else from_json(shown, json.loads(row.files)[shown["file"]])


def _encode(value: object) -> bytes:
    # Through json, which writes a lone surrogate of a source text as an escape.
    return json.dumps(value, separators=(",", ":")).encode()
