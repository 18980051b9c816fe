"""Judges the lives of one run by what was acknowledged, what each death left behind, and what really happened."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from ksl.records.moment import from_rfc3339

from tests.crash.engine_trial import EngineTrial, Expected
from tests.crash.life import DISK, FULFILLED, STUCK, UNOPENABLE
from tests.crash.record import Record
from tests.crash.stored import Row

OUTCOMES = ("step_completed", "step_failed", "step_cancelled", "sleep_completed", "hook_resumed")


def judged(trial: EngineTrial, expected: Expected, *, family: str, plan: str, faults: int = 0) -> Record:
    record = Record(family=family, plan=plan, kills=trial.kills, faults=faults, exits=trial.exits)
    record.wal_bytes = max(found.wal_bytes for found in trial.found)
    record.unsound = sum(not found.is_sound for found in trial.found)
    record.restart_s = trial.restart_s if len(trial.exits) > 1 else None
    _ended(trial, record)
    _kept(trial, record)
    events = trial.final.events
    record.operations = dict(Counter(event.type for event in events) + Counter(effect=len(trial.ledger)))
    _recorded_once(events, record)
    _effects(trial, expected, record)
    _outcome(trial, expected, record)
    return record


def _ended(trial: EngineTrial, record: Record) -> None:
    """Whatever had happened, the last life must have brought the run to its end."""
    if trial.exits[-1] != FULFILLED:
        told = (
            "did not end in time" if trial.exits[-1] == STUCK else f"the last life exited {trial.exits[-1]}"
        )
        record.stuck.append(f"{told}: {trial.final.runs} {trial.said}")
    for code in trial.exits[:-1]:
        if code not in (-9, DISK, UNOPENABLE):
            record.problems.append(f"a life exited {code}: {trial.said}")


def _kept(trial: EngineTrial, record: Record) -> None:
    """No death takes anything back: what was told is there, and what was there stays as it was."""
    final = trial.final.events
    for life, (found, told) in enumerate(zip(trial.found, trial.told, strict=True)):
        newest = {event.run_id: event.seq for event in found.events}
        for line in told:
            word, *rest = line.split()
            if word == "stored" and newest.get(rest[0], 0) < int(rest[1]):
                record.lost.append(f"event {rest[1]} of {rest[0]} after life {life}")
            if word == "started" and rest[0] not in newest:
                record.lost.append(f"run {rest[0]} after life {life}")
        if found.events != final[: len(found.events)]:
            record.lost.append(f"the history as it was after life {life}")
    types = [event.type for event in final]
    answers = {(event.step, event.data) for event in final if event.type == "hook_resumed"}
    for line in trial.told[-1]:
        record.acknowledged += 1
        word, *rest = line.split()
        match word:
            case "answered":
                if not any(
                    step == rest[0] and json.loads(data or "null") == json.loads(rest[1])
                    for step, data in answers
                ):
                    record.lost.append(f"the answer to {rest[0]}")
            case "cancelled" if "run_cancel_requested" not in types and "run_cancelled" not in types:
                record.lost.append("the cancellation")
            case "ended" if rest[0] not in [status for _, _, status in trial.final.runs]:
                record.lost.append(f"the end: {rest[0]}")
            case _:
                pass


def _recorded_once(events: list[Row], record: Record) -> None:
    if len({event.run_id for event in events}) > 1:
        record.duplicates.append("one idempotency key, several runs")
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        record.problems.append("seq is not contiguous")
    recorded: dict[str | None, str] = {}
    due: dict[str | None, int] = {}
    for event in events:
        if event.type == "run_retrying":
            # What was cancelled when an attempt of the run failed has no outcome for the next one either.
            reopened = _reopened(event)
            recorded = {
                step: how
                for step, how in recorded.items()
                if step not in reopened and how != "step_cancelled"
            }
        elif event.type in OUTCOMES:
            if event.step in recorded:
                record.duplicates.append(f"{recorded[event.step]}, then {event.type} of {event.step}")
            recorded[event.step] = event.type
    for event in events:
        if event.type == "sleep_started":
            due[event.step] = from_rfc3339(json.loads(event.data or "{}")["due"])
        elif event.type == "sleep_completed" and event.at_ms < due.get(event.step, 0) - 1:
            record.problems.append(f"{event.step} ended early")


def _effects(trial: EngineTrial, expected: Expected, record: Record) -> None:
    lines = trial.ledger
    for line in lines:
        if line.key != f"{line.run_id}/{line.step}":
            record.problems.append(f"{line.step} had the key {line.key}")
    # What is under way when an attempt of the run fails is cut off, and the next attempt begins it again.
    retries = [event for event in trial.final.events if event.type == "run_retrying"]
    tries = Counter((line.step, line.attempt, line.life) for line in lines)
    often = 1 if expected.is_sequence else 1 + len(retries)
    record.problems += [f"{which} was tried {n} times" for which, n in tries.items() if n > often]
    later = {life: [line for line in lines if line.life > life] for life in range(len(trial.exits))}
    reopened = {step for event in retries for step in _reopened(event)}
    for life, found in enumerate(trial.found[:-1]):
        done = {
            event.step
            for event in found.events
            if event.type == "step_completed"
            or (event.type == "step_failed" and event.step not in reopened)
            or (event.type == "step_cancelled" and not retries)
        }
        record.problems += [
            f"{line.step} ran again after its outcome was stored" for line in later[life] if line.step in done
        ]
        again = {(line.step, line.attempt) for line in later[life]}
        extra = len({(line.step, line.attempt) for line in lines if line.life == life} & again)
        if trial.exits[life] == -9:
            (record.extra_in_sequence if expected.is_sequence else record.extra_in_parallel).append(extra)
        if expected.is_sequence and extra > 1:
            record.problems.append(f"{extra} extra effects of one death, steps in sequence")


def _outcome(trial: EngineTrial, expected: Expected, record: Record) -> None:
    if record.stuck:
        return
    status, got = ended(trial)
    charges = [line for line in trial.ledger if line.step == "charge#0"]
    if trial.task.workflow == "paying":
        if len(charges) > 1:
            record.problems.append(f"an at_most_once step ran {len(charges)} times")
        if len(trial.exits) > 1 and got == "LOOK IT UP":
            return  # cut off under way, and said so
        if len(charges) != 1:
            record.problems.append("paid without a charge")
    if not expected.compare:
        if status not in ("succeeded", "failed"):
            record.divergences.append(f"{status} {got!r}")
        return
    if (status, got) != (expected.status, expected.output):
        record.divergences.append(f"{status} {got!r} instead of {expected.status} {expected.output!r}")
    steps = frozenset(line.step for line in trial.ledger)
    if expected.steps is not None and steps != expected.steps:
        record.divergences.append(f"effects of {sorted(steps ^ expected.steps)}")


def ended(trial: EngineTrial) -> tuple[str, Any]:
    """Status, and output or the type of the error."""
    (_, _, status), *_ = trial.final.runs
    data: Any = json.loads(trial.final.events[-1].data or "null")
    return status, data["type"] if status == "failed" else None if status == "cancelled" else data


def _reopened(event: Row) -> set[str | None]:
    return set(json.loads(event.data or "{}")["reopened"])
