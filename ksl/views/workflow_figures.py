"""The list of workflows with what became of their runs today, and with what is wrong with their code."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from ksl.build.canvas.code_row import stored_canvas
from ksl.build.rules.enforce import diagnostics_of
from ksl.log.store import Store
from ksl.records import CodeRow, RunStatus
from ksl.views.times import rfc3339
from ksl.views.values import JsonObject
from ksl.views.workflows import workflows_json

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.build.failure import ImportFailure
    from ksl.build.rules.diagnostic import Diagnostic
    from ksl.records import Activity

HOURS = 24
HOUR_MS = 3_600_000
COUNTED = 100_000  # runs of a day that are looked at: the newest


async def workflow_figures_json(store: Store, project: Project, *, now_ms: int) -> JsonObject:
    """`workflows_json`, each with `steps`, `recent` and `problems`; beside them `since` and `exact`, which `recent` is
    about, and `failures`: the modules that did not load.

    Shape:   `recent`: {"runs", "succeeded", "failed", "held", "hours": 24 counts of runs, the oldest hour first}.
    """
    since_ms = now_ms - HOURS * HOUR_MS
    happened = await store.activity(since_ms, stretch_ms=HOUR_MS, most=COUNTED + 1)
    found = await asyncio.to_thread(diagnostics_of, project)
    listed: list[JsonObject] = [
        {
            **each,
            "steps": len(project.tables[each["slug"]].sites) if each["slug"] in project.tables else None,
            "recent": _recent([one for one in happened if one.workflow == each["slug"]]),
            "problems": [_problem(one) for one in found.get(each["slug"], [])],
        }
        for each in workflows_json(project)["workflows"]
    ]
    gone = await store.codes_but(list(project.workflows)) if project.failures else []
    return {
        "workflows": listed,
        "since": rfc3339(since_ms),
        "exact": sum(one.runs for one in happened) <= COUNTED,
        "failures": [_failure(each, gone) for each in project.failures],
    }


def _recent(happened: list[Activity]) -> JsonObject:
    hours = [0] * HOURS
    by_status: dict[RunStatus, int] = {}
    for one in happened:
        # The clock may have been set back since a run was created.
        hours[min(one.place, HOURS - 1)] += one.runs
        by_status[one.status] = by_status.get(one.status, 0) + one.runs
    return {
        "runs": sum(hours),
        "succeeded": by_status.get(RunStatus.SUCCEEDED, 0),
        "failed": by_status.get(RunStatus.FAILED, 0),
        "held": by_status.get(RunStatus.HELD, 0),
        "hours": hours,
    }


def _problem(found: Diagnostic) -> JsonObject:
    return {
        "code": found.code,
        "severity": found.severity,
        "file": found.file,
        "line": found.line,
        "message": found.message,
        "fix": found.fix,
    }


def _failure(failure: ImportFailure, gone: list[CodeRow]) -> JsonObject:
    """With the workflows that were in the module when they last ran, as they were drawn then."""
    return {
        "module": failure.module,
        "file": failure.file,
        "line": failure.line,
        "code": failure.code,
        "error": failure.error,
        "traceback": failure.traceback,
        "workflows": [
            {"slug": row.workflow, "code_version": row.code_version, "canvas": canvas}
            for row in gone
            if (canvas := _drawn(row, failure)) is not None
        ],
    }


def _drawn(row: CodeRow, failure: ImportFailure) -> dict[str, Any] | None:
    """The canvas of a workflow that was defined in the module that did not load."""
    path = failure.module.replace(".", "/")
    canvas: dict[str, Any] | None = json.loads(row.canvases).get(row.workflow)
    if canvas is None or canvas["file"] not in (failure.file, f"{path}.py", f"{path}/__init__.py"):
        return None
    return canvas if stored_canvas(row, row.workflow) is not None else None
