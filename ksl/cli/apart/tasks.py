"""What is asked of an imported project, answered as data."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ksl.cli.output import Json

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.build.discover import Project

Task = Callable[..., Json]


def build(settings: Settings, project: Project, still_alive: Callable[[], None], *, runs: bool) -> Json:
    """`{"workflows", "actions", "triggers", "problems", "diagnostics", "runs", "imported"}`."""
    from ksl.build.model_names import model_problems
    from ksl.build.rules.check import check
    from ksl.build.rules.report import as_json
    from ksl.cli.building import problems
    from ksl.cli.fitting import fitting
    from ksl.runtime.agents import models_of
    from ksl.runtime.credentials import set_credentials

    models = models_of(settings, os.environ, set_credentials=set_credentials(settings))
    answer: Json = {
        "workflows": sorted(project.workflows),
        "actions": sorted(project.actions),
        "triggers": sorted(project.triggers),
        "problems": [*problems(project), *model_problems(project, models)],
        "diagnostics": [as_json(each) for each in check(project)],
        "runs": None,
        "imported": True,
    }
    if runs:
        still_alive()  # bodies are run from here on
        answer["runs"], changed = asyncio.run(fitting(settings, project, still_alive))
        answer["diagnostics"] = sorted([*answer["diagnostics"], *map(as_json, changed)], key=_place)
    return answer


def canvas(
    settings: Settings, project: Project, still_alive: Callable[[], None], *, slug: str, expand: bool
) -> Json:
    """`{"canvas"}`, or `{"unknown", "failures"}` where the project defines no such workflow."""
    from ksl.errors import UnknownWorkflow
    from ksl.views.canvas import canvas_json

    try:
        return {"canvas": canvas_json(project, slug, expand=expand)}
    except UnknownWorkflow as error:
        return {"unknown": error.message, "failures": len(project.failures)}


def _place(diagnostic: Json) -> tuple[str, int, int]:
    return (diagnostic["file"], diagnostic["line"], diagnostic["col"])


TASKS: dict[str, Task] = {"build": build, "canvas": canvas}
