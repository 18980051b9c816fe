"""Which unfinished runs still fit the code of the folder. The store is only read, and no step runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ksl.cli.output import Json
from ksl.cli.project import count

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.build.discover import Project
    from ksl.build.rules.diagnostic import Diagnostic
    from ksl.engine.rehearsal import Rehearsed


async def fitting(
    settings: Settings, project: Project, still_alive: Callable[[], None]
) -> tuple[list[Json], list[Diagnostic]]:
    """For each unfinished run that has begun `{"run_id", "workflow", "status", "fits", "code", "rule", "line",
    "message"}`, newest first. The last four are null where it fits, and `rule` and `line` where nothing tells.
    And what broke those that do not fit, as the rule KSL117."""
    from ksl.cli.edits import Edit, diagnostics, edit_of
    from ksl.engine.clock import SystemClock
    from ksl.engine.host import Limits
    from ksl.engine.rehearsal import Stage, rehearsals
    from ksl.engine.tokens import TokenKeys
    from ksl.errors import DamagedEvent
    from ksl.log.sqlite import SqliteStore
    from ksl.records import RunFilter, RunStatus

    if not settings.store.path.exists():
        return [], []
    begun = (RunStatus.RUNNING, RunStatus.SLEEPING, RunStatus.WAITING, RunStatus.HELD)
    store = await SqliteStore.open_reader(settings.store.path)
    try:
        stage = Stage(
            clock=SystemClock(),
            tokens=TokenKeys.open(settings.data_folder / "hook-keys"),
            limits=Limits(payload=settings.limits.payload, steps=settings.limits.steps),
            workspaces_root=settings.data_folder / "workspaces",
        )
        found = rehearsals(project, store, RunFilter(statuses=begun), stage=stage)
        told: list[Json] = []
        edits: list[Edit] = []
        async for each in found:
            told.append(_told(each, settings.folder))
            if each.error is not None and not isinstance(each.error, DamagedEvent):
                edits.append(await edit_of(project, store, each))
            still_alive()  # a body that never comes to an end is found out by the time since then
        return told, diagnostics(project, edits)
    finally:
        await store.close()


def emit_fitting(runs: Sequence[Json]) -> None:
    for run in runs:
        head = f"{run['run_id']}  {run['workflow']}  {run['status']}"
        if run["fits"]:
            click.echo(f"{head}  fits")
            continue
        click.echo("  ".join(part for part in (head, "does not fit", run["rule"], run["line"]) if part))
        click.echo(f"    {run['code']} {run['message']}")
    unfit = sum(not run["fits"] for run in runs)
    verb = "does" if unfit == 1 else "do"
    click.echo(f"{count(len(runs), 'unfinished run')}, {unfit} {verb} not fit")


def _told(rehearsed: Rehearsed, folder: Path) -> Json:
    from ksl.build.failure import relative

    row, error = rehearsed
    file, _, line = str(getattr(error, "line", "")).rpartition(":")
    return {
        "run_id": row.run_id,
        "workflow": row.workflow,
        "status": row.status.value,
        "fits": error is None,
        "code": None if error is None else error.code,
        "rule": getattr(error, "rule", None) or None,
        "line": f"{relative(file, folder)}:{line}" if file else None,
        "message": None if error is None else error.message,
    }
