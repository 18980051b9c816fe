"""One pass of a workflow over a log: as far as it gets without a sleep or an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, Literal, TypeVar

from ksl.define.workflow import Workflow
from ksl.engine.body import encode_input
from ksl.records import Event, Meta, RunStatus
from ksl.testing.clock import START
from ksl.testing.environment import Environment
from ksl.testing.event_log import MemoryEventLog
from ksl.testing.handles import RunHandle
from ksl.testing.shown import Failure, Waiting, json_text

O = TypeVar("O")  # noqa: E741


@dataclass(frozen=True)
class Completed(Generic[O]):
    output: O
    status: ClassVar[Literal["completed"]] = "completed"


@dataclass(frozen=True)
class Failed:
    """Also of a run that is held, since the log does not fit the code: `error.code` is KSL401 or KSL402 then."""

    error: Failure
    status: ClassVar[Literal["failed"]] = "failed"


@dataclass(frozen=True)
class Suspended:
    """`items`: the sleeps, hooks and timers that the run waits for."""

    items: list[Waiting]
    status: ClassVar[Literal["suspended"]] = "suspended"


async def execute(
    workflow: Workflow[Any, O],
    input: Any = None,
    *,
    run_id: str = "run_1",
    log: MemoryEventLog | None = None,
    setup: Callable[[Environment], object] | None = None,
    seed: int = 0,
) -> Completed[O] | Failed | Suspended:
    """One durable pass. Steps whose outcome is in `log` are not executed; the others are, and their outcomes are
    in it afterwards, so that a later pass with the same run and log goes on from there. Backoffs of retries are
    gone through, sleeps are not: append a `sleep_completed` or `hook_resumed` and execute again.

    `setup` gets the environment first, to stub actions. Errors: InvalidInput, before anything runs.
    """
    log = log if log is not None else MemoryEventLog()
    recorded = log.recorded(run_id)
    now = datetime.fromtimestamp(recorded[-1].at_ms / 1000, tz=UTC) if recorded else START
    async with Environment(seed=seed, now=now) as env:
        if setup is not None:
            setup(env)
        if recorded:
            run = await env.restore(workflow, _passed(workflow, input, run_id, recorded))
        else:
            run = await env.start(workflow, input, run_id=run_id)
        await _through_backoffs(env, run)
        log.replace(run_id, list(env.history(run).events))
        match run.status:
            case RunStatus.SUCCEEDED:
                return Completed(await run.result())
            case RunStatus.FAILED | RunStatus.HELD | RunStatus.CANCELLED:
                return Failed(run.error or Failure(type="CancelledError", message="the run was cancelled"))
            case _:
                return Suspended(run.waiting_on)


def _passed(workflow: Workflow[Any, Any], input: Any, run_id: str, recorded: list[Event]) -> list[Event]:
    """The log with a new pass to come. What it holds becomes what an earlier attempt of the run left: given to
    the body as it asks, in the log's order, whatever that attempt came to."""
    events: list[Event] = []

    def add(event: Event) -> None:
        events.append(
            Event(
                run_id,
                len(events) + 1,
                event.type,
                event.step,
                event.at_ms,
                event.data,
                event.input,
                event.meta,
            )
        )

    first = recorded[0]
    attempt = 1
    if first.type != "run_created":
        value = workflow.input.decode(json_text(input)) if _is_json(input) else input
        data = encode_input(workflow, value)
        add(Event(run_id, 1, "run_created", None, first.at_ms, data))
        add(Event(run_id, 2, "run_started", None, first.at_ms, None, None, Meta(attempt=1)))
    for event in recorded:
        add(event)
        if event.meta is not None and event.type == "run_started":
            attempt = event.meta.attempt
    last = events[-1]
    add(Event(run_id, 0, "run_retrying", None, last.at_ms, b'{"reopened":[]}', None, Meta(attempt=attempt)))
    return events


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, dict | list | str | int | float | bool)


async def _through_backoffs(env: Environment, run: RunHandle[Any]) -> None:
    while True:
        row = run.row
        if row.status is RunStatus.QUEUED and row.due_ms is not None:
            due_ms = row.due_ms
        else:
            retries = [item.due for item in run.waiting_on if item.kind == "retry" and item.due]
            if not retries:
                return
            due_ms = round(datetime.fromisoformat(min(retries)).timestamp() * 1000)
        await env.advance(datetime.fromtimestamp(due_ms / 1000, tz=UTC))
