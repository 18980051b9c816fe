"""A run cut off at every event and taken up again from there: does it come to the same end, with the same effects?

An effect is an attempt at an action. Up to the cut it counts as having happened when its outcome is recorded.
What happens after the cut may be what the undisturbed run still had before it, and no more: so that a step in
flight at the cut is tried once again, and nothing else twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from ksl.define.action import Action
from ksl.define.seam import current_run
from ksl.define.workflow import Workflow
from ksl.errors import HookRejected
from ksl.records import FINISHED, Event, RunStatus
from ksl.testing.calls import ActionCall
from ksl.testing.clock import START
from ksl.testing.environment import Environment
from ksl.testing.handles import RunHandle, WaitingHook
from ksl.testing.shown import failure_of

Answers = Mapping[str, Any] | Callable[[WaitingHook], Any]
_OUTCOMES = ("step_completed", "step_failed", "step_retrying")


@dataclass(frozen=True)
class Finding:
    """What went wrong after one cut. `cut` is the seq of the last event that survived."""

    cut: int
    event: str  # its type, and its step if it has one
    message: str

    def __str__(self) -> str:
        return f"cut after event {self.cut} ({self.event}): {self.message}"


@dataclass
class CrashReport:
    trials: int = 0
    events: int = 0  # of the undisturbed run
    effects: int = 0  # attempts at actions in it
    status: RunStatus = RunStatus.SUCCEEDED  # how it ended
    divergences: list[Finding] = field(default_factory=list[Finding])
    extra_effects: list[Finding] = field(default_factory=list[Finding])
    interrupted: list[int] = field(
        default_factory=list[int]
    )  # cuts in an at_most_once step, which is not run again

    @property
    def ok(self) -> bool:
        return self.trials > 0 and not self.divergences and not self.extra_effects

    def __str__(self) -> str:
        counts = f"{len(self.divergences)} divergences, {len(self.extra_effects)} extra effects"
        summary = f"{self.trials} cuts in {self.events} events and {self.effects} attempts: {counts}"
        return "\n  ".join([summary, *map(str, self.divergences), *map(str, self.extra_effects)])


async def crash_test(
    workflow: Workflow[Any, Any],
    input: Any = None,
    *,
    setup: Callable[[Environment], object] | None = None,
    answers: Answers | None = None,
    seed: int = 0,
) -> CrashReport:
    """Runs the workflow to its end, then once for each of its events with only the history up to that event.

    `setup` gets each environment before its run, to stub actions; those that are not stubbed run again in every
    trial. `answers` are payloads by hook name or step id, or a function of the hook; a HookRejected rejects. A
    hook without an answer is left to its timeout. Errors: RunNotEnded when it has none.
    """
    script = _Script(workflow, setup, answers, seed)
    undisturbed = await script.play(input, ())
    report = CrashReport(
        events=len(undisturbed.events), effects=len(undisturbed.calls), status=undisturbed.status
    )
    for step, attempt in _twice(undisturbed.calls):
        message = f"attempt {attempt} of {step} was performed twice, with no crash at all"
        report.extra_effects.append(Finding(len(undisturbed.events), "undisturbed", message))
    for cut in range(1, len(undisturbed.events)):
        again = await script.play(input, undisturbed.events[:cut])
        report.trials += 1
        _judge(report, undisturbed, again, cut)
    return report


@dataclass
class _Trial:
    events: list[Event]
    status: RunStatus
    calls: list[ActionCall]
    plain: list[tuple[str, int]]  # actions called in the body without .run, with the run's seq

    @property
    def outcome(self) -> tuple[Any, ...]:
        last = self.events[-1]
        if self.status is RunStatus.SUCCEEDED:
            return (self.status.value, json.loads(last.data or b"null"))
        error = failure_of(self.events)
        return (
            (self.status.value,)
            if error is None
            else (self.status.value, error.type, error.message, error.step)
        )

    @property
    def ending(self) -> str:
        status, *rest = self.outcome
        return (
            f"{status} {json.dumps(rest[0])}"
            if len(rest) == 1
            else f"{status} {': '.join(map(str, rest[:2]))}"
        )


class _Script:
    def __init__(
        self,
        workflow: Workflow[Any, Any],
        setup: Callable[[Environment], object] | None,
        answers: Answers | None,
        seed: int,
    ) -> None:
        self._workflow = workflow
        self._setup = setup
        self._answers = answers
        self._seed = seed

    async def play(self, input: Any, history: list[Event] | tuple[()]) -> _Trial:
        now = datetime.fromtimestamp(history[-1].at_ms / 1000, tz=UTC) if history else START
        env = Environment(seed=self._seed, now=now, rng=_Steady(), patience="60s")
        async with env:
            if self._setup is not None:
                self._setup(env)
            env.definitions.add(self._workflow)
            plain: list[tuple[str, int]] = []
            with _seen_in_bodies(env, plain):
                if history:
                    run = await env.restore(self._workflow, history)
                else:
                    run = await env.start(self._workflow, input)
                await self._to_the_end(env, run)
            return _Trial(list(env.history(run).events), run.status, list(env.calls), plain)

    async def _to_the_end(self, env: Environment, run: RunHandle[Any]) -> None:
        """The same situation is always met by the same deed, so that a cut changes nothing in the world."""
        while (status := run.status) not in FINISHED and status is not RunStatus.HELD:
            if not await self._answer(env, run):
                await env.pass_to_next(run)

    async def _answer(self, env: Environment, run: RunHandle[Any]) -> bool:
        awaited = {item.step for item in run.waiting_on if item.kind == "hook"}
        for hook in run.hooks:
            if hook.step not in awaited:
                continue
            if callable(self._answers):
                answer = self._answers(hook)
            else:
                keys = [key for key in (hook.step, hook.name) if key in (self._answers or {})]
                if not keys:
                    continue
                answer = (self._answers or {})[keys[0] or ""]
            if isinstance(answer, HookRejected):
                await env.reject(hook, str(answer))
            else:
                await env.resume(hook, answer)
            return True
        return False


class _Steady(Random):
    """Jitter without chance: what was drawn before a cut is not drawn again after it."""

    def random(self) -> float:
        return 0.5


def _judge(report: CrashReport, undisturbed: _Trial, again: _Trial, cut: int) -> None:
    last = undisturbed.events[cut - 1]
    event = f"{last.type} {last.step}" if last.step else last.type
    interrupted = any(b'"StepInterrupted"' in (each.data or b"") for each in again.events[cut:])
    if interrupted:
        report.interrupted.append(cut)
    elif again.outcome != undisturbed.outcome:
        message = f"the run ended {again.ending}, undisturbed it ends {undisturbed.ending}"
        report.divergences.append(Finding(cut, event, message))
    recorded = {
        (each.step, each.meta.attempt)
        for each in undisturbed.events[:cut]
        if each.type in _OUTCOMES and each.meta is not None and each.meta.kind == "action"
    }
    made = Counter({(call.step, call.attempt) for call in undisturbed.calls})
    for call in again.calls:
        if call.status == "cancelled":
            continue  # a crash changes who is first in a race, and so what is given up
        place = (call.step, call.attempt)
        if place in recorded:
            message = (
                f"{call.step} was performed again although the outcome of attempt {call.attempt} is recorded"
            )
        elif made[place] == 0 and not interrupted:
            message = (
                f"{call.step} was performed (attempt {call.attempt}), which the undisturbed run never did"
            )
        else:
            made[place] -= 1
            continue
        report.extra_effects.append(Finding(cut, event, message))
    before = Counter(action for action, seq in undisturbed.plain if seq <= cut)
    ever = Counter(action for action, _ in undisturbed.plain)
    after = Counter(action for action, _ in again.plain)
    for action in sorted(after):
        repeated = before[action] + after[action] - ever[action]
        if repeated > 0:
            message = (
                f"the body calls {action} directly and not by .run(...): it was performed again on replay"
            )
            report.extra_effects.append(Finding(cut, event, message))


def _twice(calls: list[ActionCall]) -> list[tuple[str, int]]:
    counts = Counter((call.step, call.attempt) for call in calls if call.status != "cancelled")
    return [place for place, count in counts.items() if count > 1]


@contextmanager
def _seen_in_bodies(env: Environment, plain: list[tuple[str, int]]) -> Generator[None]:
    """Notes every action whose plain function a body calls: no record of it is kept, so each replay repeats it."""
    actions = list(env.definitions.actions.values())
    functions = [action.function for action in actions]
    for action, function in zip(actions, functions, strict=True):
        action.function = _noting(env, action, function, plain)
    try:
        yield
    finally:
        for action, function in zip(actions, functions, strict=True):
            action.function = function


def _noting(
    env: Environment, action: Action[..., Any], function: Callable[..., Any], plain: list[tuple[str, int]]
) -> Callable[..., Any]:
    def noting(*args: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is not None:
            plain.append((action.slug, env.seq_of(run.run_id)))
        return function(*args, **kwargs)

    return noting
