"""How a run is put to a person."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ksl.cli.output import Json, compact, printable

if TYPE_CHECKING:
    from ksl.records import RunStatus


def label(status: str) -> str:
    from ksl.records import STATUS_LABELS

    labels: dict[RunStatus, str] = STATUS_LABELS
    if status == "retrying":
        return "Retrying"
    return next((text for known, text in labels.items() if known.value == status), status)


def took(item: Json) -> str:
    """From start to finish, of a run or a step; empty while one of them is missing."""
    from ksl.define.duration import format_duration

    started, finished = item.get("started_at"), item.get("finished_at")
    if not started or not finished:
        return ""
    return format_duration((_moment(finished) - _moment(started)).total_seconds())


def waits_of(run: Json) -> list[Json]:
    return run.get("waiting_on") or []


def error_of(item: Json) -> Json:
    """The error of a run or step; empty where there is none."""
    return item.get("error") or {}


def step_of(item: Json) -> str:
    """The bare id, where events and waits write `step:<id>`; empty where there is none."""
    return str(item.get("step") or "").removeprefix("step:")


def next_attempt(run: Json, now_s: float) -> str:
    """ "attempt 2 of 3 in 12s", of a step "fetch#0: attempt 2 of 3 in 12s"; empty where the run waits for none."""
    from ksl.views.now_at import stretch

    if not (retrying := run.get("retrying")):
        return ""
    which = f"attempt {retrying['attempt']}" if retrying["attempt"] else "its next attempt"
    of = f" of {retrying['attempts']}" if retrying["attempt"] and retrying["attempts"] else ""
    left_s = _moment(retrying["next_attempt_at"]).timestamp() - now_s
    soon = f"in {stretch(int(left_s * 1000))}" if left_s >= 1 else "now"
    step = f"{step_of(retrying)}: " if retrying["step"] else ""
    return f"{step}{which}{of} {soon}"


def standing(run: Json) -> str:
    """ "Run run_1 of publish: Waiting on hook (hook#0)."."""
    told = label(run["status"])
    if waits := [step_of(item) for item in waits_of(run) if step_of(item)]:
        told = f"{told} ({', '.join(waits)})"
    if run["status"] == "succeeded":
        told = f"{told}, with output {compact(run['output'], 400)}"
    elif error := error_of(run):
        told = f"{told}: {error.get('type')}: {error.get('message')}"
    return f"Run {run['run_id']} of {run['workflow']}: {told.rstrip('.')}."


def event_line(event: Json) -> str:
    """Time, type, step, short data: one event to a line."""
    data = "" if event.get("data") is None else compact(event["data"], 80)
    return printable(f"{event['at'][11:23]}  {event['type']:<20}  {step_of(event):<24}  {data}").rstrip()


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
