"""A position of a run as JSON: what a debugger shows for one of its events."""

from __future__ import annotations

import linecache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksl.engine.clock import SystemClock
from ksl.engine.host import Limits
from ksl.engine.position import Awaited, Branch, OnlyLooking, Position, Standpoint, position
from ksl.views.events import event_json, unknown_run
from ksl.views.times import rfc3339

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.build.discover import Project
    from ksl.engine.tokens import TokenKeys
    from ksl.log.store import Store


AROUND = 3  # lines of source shown on either side


def stage_of(settings: Settings, tokens: TokenKeys) -> OnlyLooking:
    return OnlyLooking(
        clock=SystemClock(),
        tokens=tokens,
        limits=Limits(payload=settings.limits.payload, steps=settings.limits.steps),
        workspaces_root=settings.data_folder / "workspaces",
    )


async def position_json(
    project: Project, store: Store, run_id: str, seq: int | None, *, stage: OnlyLooking
) -> dict[str, Any]:
    """The newest position where `seq` is None. Errors: UnknownRun, DamagedEvent, BadRequest, WorkflowGone."""
    row = await store.run(run_id)
    events = await store.events(run_id) if row is not None else []
    if row is None or not events:
        raise unknown_run(run_id)
    found = await position(project, row, events, events[-1].seq if seq is None else seq, stage=stage)
    return {
        "run_id": run_id,
        "workflow": row.workflow,
        "seq": found.seq,
        "first_seq": events[0].seq,
        "last_seq": events[-1].seq,
        "event": event_json(next(event for event in events if event.seq == found.seq)),
        "attempt": found.attempt,
        "state": found.state,
        "now": rfc3339(found.now_ms),
        "branches": [_branch(branch, project.folder) for branch in found.branches],
        "awaited": [_awaited(awaited) for awaited in found.awaited],
        "error": _error(found),
        "misfit": None if found.misfit is None else {"code": found.misfit.code, "message": str(found.misfit)},
    }


def _branch(branch: Branch, folder: Path) -> dict[str, Any]:
    return {
        "workflow": branch.workflow,
        "place": branch.place,
        "frames": [_frame(frame, folder) for frame in branch.frames],
    }


def _frame(frame: Standpoint, folder: Path) -> dict[str, Any]:
    return {
        "file": frame.file.removeprefix(f"{folder}/"),
        "line": frame.line,
        "function": frame.function,
        "source": [
            {"line": line, "text": text.rstrip("\n")}
            for line in range(max(frame.line - AROUND, 1), frame.line + AROUND + 1)
            if (text := linecache.getline(frame.file, line))
        ],
        "variables": frame.variables,
    }


def _awaited(awaited: Awaited) -> dict[str, Any]:
    return {"step": awaited.step, "kind": awaited.kind}


def _error(found: Position) -> dict[str, Any] | None:
    if found.error is None:
        return None
    return {"type": type(found.error).__name__, "message": str(found.error)}
