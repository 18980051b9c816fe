"""The code that runs are started with, put down once for each workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ksl.records import CodeRow

if TYPE_CHECKING:
    from ksl.build.discover import Project


class Codes:
    """Stays as it was loaded, however long the process lives."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._rows: dict[str, CodeRow] = {}

    def of(self, slug: str) -> CodeRow:
        """Belongs into the change that creates a run of the workflow. Errors: UnknownWorkflow."""
        row = self._rows.get(slug)
        if row is None:
            from ksl.build.canvas.code_row import code_row

            row = self._rows[slug] = code_row(self._project, slug)
        return row
