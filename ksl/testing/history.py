"""A recorded run as a regression fixture: what `ksl runs show ID --include events --json` prints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast, get_args

from pydantic_core import from_json, to_json

from ksl.define.workflow import Workflow
from ksl.engine.history import read_history
from ksl.engine.host import Limits
from ksl.engine.rehearsal import Stage
from ksl.engine.replay import catch_up
from ksl.engine.run import Run
from ksl.errors import KslError, ReplayMismatch
from ksl.log.store import Change
from ksl.records import EVENT_TYPES, Event, EventType, Meta, RunStatus, Trigger
from ksl.records.moment import from_rfc3339
from ksl.testing.clock import VirtualClock
from ksl.testing.definitions import Definitions
from ksl.testing.machine import BOOT, tokens
from ksl.testing.rows import change_of
from ksl.views.events import event_json

_ENDS = ("run_completed", "run_failed", "run_cancelled")


@dataclass(frozen=True)
class History:
    run_id: str
    workflow: str  # slug
    events: tuple[Event, ...]
    trigger: Trigger = "api"

    @classmethod
    def load(cls, path: Path | str) -> Self:
        return cls.parse(Path(path).read_bytes())

    @classmethod
    def parse(cls, recorded: str | bytes | Mapping[str, Any]) -> Self:
        """Errors: ValueError when it is not a run with its events."""
        try:
            value: Any = from_json(recorded) if isinstance(recorded, str | bytes) else recorded
            run_id = str(value["run_id"])
            events = tuple(_event(run_id, each) for each in value["events"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                "this is not a run with its events, as `ksl runs show ID --include events --json` prints it: "
                f"{error.__class__.__name__}: {error}"
            ) from error
        if [event.seq for event in events] != list(range(1, len(events) + 1)) or not events:
            raise ValueError("a history's events count from 1 without a gap; some of them are missing")
        trigger = value.get("trigger", "api")
        return cls(
            run_id=run_id,
            workflow=str(value.get("workflow", "")),
            events=events,
            trigger=trigger if trigger in get_args(Trigger) else "api",
        )

    def save(self, path: Path | str) -> None:
        shown = {
            "run_id": self.run_id,
            "workflow": self.workflow,
            "trigger": self.trigger,
            "events": [event_json(event) for event in self.events],
        }
        Path(path).write_text(json.dumps(shown, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @property
    def hook_keys(self) -> list[str]:
        """Names of the keys that its hooks' tokens were made with."""
        found = [from_json(event.data or b"{}") for event in self.events if event.type == "hook_created"]
        return list({key: None for data in found if (key := data.get("key"))})


@dataclass(frozen=True)
class Replayed:
    """The history fits. `wanted`: steps in flight where it ends, which a server would now perform."""

    status: RunStatus
    output: Any  # JSON, of a run that succeeded
    wanted: list[str]


async def replay(
    workflow: Workflow[Any, Any], history: History | Mapping[str, Any] | str | bytes | Path
) -> Replayed:
    """Takes the body through the whole history. No action runs, stubbed or not.

    Errors: ReplayMismatch and InputDrift when the code no longer fits, with both sides and the code's file:line;
    ReplayMismatch too when it comes to another end; ValueError for what is no history.
    """
    if isinstance(history, Path):
        history = History.load(history)
    elif not isinstance(history, History):
        history = History.parse(history)
    outcome: asyncio.Future[Replayed] = asyncio.get_running_loop().create_future()
    recorded = history

    def act() -> None:  # a body is drained from plain callbacks, never inside a task
        try:
            outcome.set_result(_replay(workflow, recorded))
        except BaseException as error:
            outcome.set_exception(error)

    asyncio.get_running_loop().call_soon(act)
    return await outcome


def _replay(workflow: Workflow[Any, Any], history: History) -> Replayed:
    definitions = Definitions(Path())
    definitions.add(workflow)
    if history.workflow not in ("", workflow.slug):
        raise ReplayMismatch(
            f"the history of run {history.run_id} is of workflow {history.workflow}, not of {workflow.slug}."
        )
    events = list(history.events)
    while events and events[-1].type in ("run_held", "run_released"):
        events.pop()
    end = events.pop() if events[-1].type in _ENDS else None
    stage = _Listening(events, history.hook_keys)
    row = change_of(events, workflow=workflow.slug, tokens=stage.tokens, boot=BOOT).run
    assert row is not None
    run = Run(
        stage,
        row,
        workflow=workflow,
        tables=definitions.project.tables,
        input=events[0].data or b"null",
        history=read_history(events),
        log=stage.logs.of(history.run_id, silent=lambda: True),
    )
    try:
        catch_up(run)
        if run.halted is not None:
            raise run.halted
        _compare(run, end, stage.ended_with)
        wanted = [call.id for call in run.asked.values() if call.kind == "action"]
    finally:
        run.evict()
    output = None if end is None or end.type != "run_completed" else from_json(end.data or b"null")
    return Replayed(_status(end, run), output, wanted)


def _compare(run: Run, end: Event | None, ended_with: Event | None) -> None:
    """A history that ended: does the code end there too, in the same way?"""
    if end is None or end.type == "run_cancelled":
        return
    if ended_with is None:
        asked = ", ".join(run.asked) or "a hook or a timer"
        raise _other_end(run, end, f"the code goes on and waits for {asked} ({run.body_line()})")
    if ended_with.type == "run_retrying":
        error = from_json(ended_with.data or b"{}").get("error")
    else:
        error = from_json(ended_with.data or b"null")
    expected = from_json(end.data or b"null")
    if end.type == "run_completed":
        if ended_with.type != "run_completed":
            raise _other_end(run, end, f"the code fails there: {error['type']}: {error['message']}")
        if expected != error:
            raise _other_end(run, end, f"the code returns {to_json(error).decode()} there")
        return
    if ended_with.type == "run_completed":
        raise _other_end(run, end, f"the code succeeds there and returns {to_json(error).decode()}")
    if (error["type"], error["message"]) != (expected["type"], expected["message"]):
        raise _other_end(run, end, f"the code fails with {error['type']}: {error['message']}")


def _other_end(run: Run, end: Event, why: str) -> KslError:
    data = (end.data or b"").decode()
    return ReplayMismatch(
        f"run {run.run_id}: its history ends with {end.type} {data} at event {end.seq}, but {why}."
    )


def _status(end: Event | None, run: Run) -> RunStatus:
    if end is None:
        return run.row.status
    match end.type:
        case "run_completed":
            return RunStatus.SUCCEEDED
        case "run_failed":
            return RunStatus.FAILED
        case _:
            return RunStatus.CANCELLED


class _Listening(Stage):
    """Hears how the run ends where its history ends."""

    def __init__(self, events: Sequence[Event], keys: Sequence[str]) -> None:
        super().__init__(
            clock=VirtualClock(events[-1].at_ms),
            tokens=tokens(keys),
            limits=Limits(),
            workspaces_root=Path("workspaces"),
        )
        self.ended_with: Event | None = None

    def append(self, run: Run, change: Change) -> None:
        for event in change.events:
            if event.type in (*_ENDS, "run_retrying"):
                self.ended_with = event


def _event(run_id: str, shown: Mapping[str, Any]) -> Event:
    kind = shown["type"]
    if kind not in EVENT_TYPES:
        raise ValueError(f"there is no event type {kind!r}")
    step: str | None = shown.get("step")
    meta: dict[str, Any] = dict(shown.get("meta") or {})
    for name in ("started_at", "finished_at"):
        if name in meta:
            meta[f"{name}_ms"] = from_rfc3339(meta.pop(name))
    known = {name: value for name, value in meta.items() if name in Meta.__struct_fields__}
    if "reopens" in known:
        known["reopens"] = tuple(known["reopens"])
    return Event(
        run_id=run_id,
        seq=shown["seq"],
        type=cast("EventType", kind),
        step=None if step is None else step.removeprefix("step:"),
        at_ms=from_rfc3339(shown["at"]),
        data=_text(shown.get("data")),
        # Written by the same writer as the code's own, so that equal inputs are equal bytes.
        input=None if "input" not in shown else to_json(shown["input"]),
        meta=Meta(**known) if known else None,
    )


def _text(value: Any) -> bytes:
    return to_json(value)
