"""What must hold of a trial, however often the server was killed in it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ksl.records.moment import from_rfc3339

from tests.crash.trial import Line, Trial
from tests.crash.workload import RUNS

Json = dict[str, Any]
OUTCOMES = ("step_completed", "step_failed", "step_cancelled", "sleep_completed", "hook_resumed")
SLEEP_MS = 250  # of the workload's one sleep
# Runs whose steps follow each other: a kill can repeat one effect of each of them, and no more.
SEQUENTIAL = (
    "chain",
    "step-retry",
    "run-retry",
    "sleeper",
    "asker",
    "outer",
    "paying",
    "compensated",
    "failing",
)


class Verdict:
    """`problems` is empty where everything held. The counts are of things that happened."""

    def __init__(self, trial: Trial) -> None:
        self.problems: list[str] = []
        self.lost: list[str] = []
        self.duplicates: list[str] = []
        self.divergences: list[str] = []
        self.extra_effects = 0
        self.operations: Counter[str] = Counter()
        self._judge(trial)

    def _judge(self, trial: Trial) -> None:
        ledger = trial.ledger
        for workflow in RUNS:
            if (run := trial.runs.get(workflow)) is None:
                self.lost.append(workflow)
                continue
            self._history(workflow, run)
            lines = [line for line in ledger if line.run_id == run["run_id"]]
            self._effects(workflow, lines, trial)
            self._outcome(workflow, run, lines, trial)
        # Whatever was acknowledged is there. What was not may be there too: the server died before it could say so.
        for workflow, acknowledged, event in (
            ("asker", trial.answered, "hook_resumed"),
            ("cancelled", trial.stopped, "run_cancel_requested"),
        ):
            events = trial.runs.get(workflow, {}).get("events", [])
            if acknowledged and event not in [each["type"] for each in events]:
                self.lost.append(f"{event} of {workflow}")
        self.operations["kill"] = trial.kills
        self.problems += [f"lost: {what}" for what in self.lost]
        self.problems += [f"recorded twice: {what}" for what in self.duplicates]
        self.problems += [f"diverged: {what}" for what in self.divergences]

    def _history(self, workflow: str, run: Json) -> None:
        events: list[Json] = run["events"]
        self.operations.update(event["type"] for event in events)
        if [event["seq"] for event in events] != list(range(1, len(events) + 1)):
            self.problems.append(f"{workflow}: seq is not contiguous")
        # A run's retry reopens failures by name; until then a step has one outcome.
        recorded: set[str] = set()
        for event in events:
            if event["type"] == "run_retrying":
                recorded -= {f"step:{step}" for step in event["data"]["reopened"]}
            elif event["type"] in OUTCOMES:
                if event["step"] in recorded:
                    self.duplicates.append(f"{workflow} {event['step']}")
                recorded.add(event["step"])
        for event, before in zip(events[1:], events, strict=False):
            if event["type"] == "sleep_started":
                # Not by its own `at`, which is taken after the moment has been reckoned.
                due_ms = from_rfc3339(event["data"]["due"])
                if due_ms < from_rfc3339(before["at"]) + SLEEP_MS:
                    self.problems.append(f"{workflow}: {event['step']} was to be shorter than asked for")
                for ended in events:
                    # A process that measured the duration itself need not wait for the rounded moment.
                    woke = ended["type"] == "sleep_completed" and ended["step"] == event["step"]
                    if woke and from_rfc3339(ended["at"]) < due_ms - 1:
                        self.problems.append(f"{workflow}: {event['step']} ended early")

    def _effects(self, workflow: str, lines: list[Line], trial: Trial) -> None:
        self.operations["effect"] += len(lines)
        for line in lines:
            if line.key != f"{line.run_id}/{line.step}":
                self.problems.append(f"{workflow}: {line.step} had the key {line.key}")
        tries = Counter((line.step, line.attempt, line.life) for line in lines)
        self.problems += [f"{workflow}: {t} was tried {n} times" for t, n in tries.items() if n > 1]
        again = Counter((line.step, line.attempt) for line in lines)
        extra = sum(again.values()) - len(again)
        self.extra_effects += extra
        if workflow in SEQUENTIAL and extra > trial.kills:
            self.problems.append(f"{workflow}: {extra} extra effects of {trial.kills} kills")
        for life, recorded in trial.recorded.items():
            for line in lines:
                reopened = workflow in ("run-retry", "failing")  # what these fail at runs again, by design
                if line.life > life and (line.run_id, line.step) in recorded and not reopened:
                    self.problems.append(f"{workflow}: {line.step} ran again after its outcome was stored")

    def _outcome(self, workflow: str, run: Json, lines: list[Line], trial: Trial) -> None:
        _, status, expected = RUNS[workflow]
        got: Any = run["error"]["type"] if run["status"] == "failed" else run["output"]
        if workflow == "paying":
            charges = [line for line in lines if line.step == "charge#0"]
            if len(charges) > 1:
                self.problems.append(f"an at_most_once step ran {len(charges)} times")
            if trial.kills and got == "LOOK IT UP":
                return  # cut off under way
            if len(charges) != 1:
                self.problems.append("paid without a charge")
        if (run["status"], got) != (status, expected):
            self.divergences.append(f"{workflow} {run['status']} {got!r} {run['error']}")
