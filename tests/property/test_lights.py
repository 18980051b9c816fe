"""Random programs on their canvases: what the fold says at every moment, against what the engine knows then.

The reckoning is made of the calls that bodies made and of what became of their futures. It looks at no event.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ksl.build.canvas import Canvas, canvas_of
from ksl.build.canvas.blocks import Opaque, Step, Wait, walk
from ksl.build.discover import Project
from ksl.engine.run import Run
from ksl.records import FINISHED, Event
from ksl.views.lights import Fold, lights, node_path
from ksl.views.values import value_of

from tests.property.machine import Machine, programs

COUNT = int(os.environ.get("LAWS", "100"))
CHUNK = 25
PREFIXES = 12  # of each history

OPEN = ("running", "retrying", "waiting")


class Told:
    """Every step that was asked for, by attempt of the run, with its call or its hook."""

    def __init__(self) -> None:
        self.calls: dict[int, dict[str, Any]] = defaultdict(dict)
        self.hooks: dict[int, dict[str, Any]] = defaultdict(dict)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ask, hook, settled = Run.ask, Run.hook, Run.settled_inside

        def asked(run: Run, call: Any) -> None:
            ask(run, call)
            self.calls[run.history.attempt][call.id] = call

        def hooked(run: Run, step: str, spec: Any) -> Any:
            made = hook(run, step, spec)
            self.hooks[run.history.attempt][step] = run.hooks[step]
            return made

        monkeypatch.setattr(Run, "ask", asked)
        monkeypatch.setattr(Run, "hook", hooked)
        monkeypatch.setattr(Run, "settled_inside", settled)

    def nodes(self, attempt: int) -> set[str]:
        """Of the run's own body, those that an attempt came to. A hook is made before it is awaited."""
        return {node_path(id) for id in (*self.calls[attempt], *self.hooks[attempt]) if "/" not in id}


class Watched(Machine):
    """Compares at every rest of the run."""

    def __init__(self, project: Project, slug: str, told: Told, *, seed: int) -> None:
        super().__init__(project, slug, seed=seed)
        self.told = told
        self.canvas = canvas_of(project, slug)
        self.compared = 0

    async def rest(self) -> None:
        await super().rest()
        run = self.runtime.engine.live.get(self.run_id)
        if run is None or run.main is None or run.main.done() or run.halted is not None:
            return
        events = await self.store.events(self.run_id)
        under_way = self.runtime.under_way(self.run_id)
        lit = lights(events, self.canvas, now_ms=self.clock.ms, finished=False, under_way=under_way)
        attempt = run.history.attempt
        expected: dict[str, Counter[str]] = defaultdict(Counter)
        hidden: set[str] = set()
        for id, call in self.told.calls[attempt].items():
            if "/" in id:
                continue
            node = node_path(id)
            if call.done():
                expected[node][_became(call)] += 1
            elif id in run.backoffs:
                expected[node]["retrying"] += 1
            elif call.kind == "sleep":
                expected[node]["waiting"] += 1
            elif call.kind == "action":
                expected[node]["running"] += 1
            else:
                expected[node][self._of_insides(run, id)] += 1
        for id, state in self.told.hooks[attempt].items():
            if "/" not in id:
                expected[node_path(id)]["waiting" if state.is_open else _hook_became(state)] += 1
        for id in run.history.pool:
            # Kept from an earlier attempt, and not asked for by this one so far.
            if id not in self.told.calls[attempt] and id not in self.told.hooks[attempt]:
                hidden.add(node_path(id.partition("/")[0]))
        for node, counts in expected.items():
            where = f"{self.slug} attempt {attempt} at {node}: {lit.get(node)} is not {dict(counts)}"
            assert node in lit, where
            said = Counter[str](dict(lit[node].counts))
            said["failed"] += said.pop("caught", 0)
            if attempt == 1 or node not in hidden:
                said.pop("pending", None) if attempt > 1 else None
                if attempt == 1:
                    assert +said == counts, where
                else:
                    assert all(said[state] >= n for state, n in counts.items()), where
            if any(counts[state] for state in OPEN):
                assert lit[node].state in OPEN, where
            self.compared += 1
        asked = self.told.nodes(attempt)
        for node, light in lit.items():
            if light.state in OPEN:
                assert node in expected or node in hidden or attempt > 1, f"{self.slug}: {node} {light}"
            if light.state == "skipped":
                assert node not in asked, f"{self.slug}: {node} is not skipped"

    def _of_insides(self, run: Run, id: str) -> str:
        """The worst of what goes on inside a sub-workflow."""
        inside = [
            (one, call)
            for one, call in self.told.calls[run.history.attempt].items()
            if one.startswith(f"{id}/") and not call.done()
        ]
        if any(one in run.backoffs for one, _ in inside):
            return "retrying"
        if any(call.kind == "action" for _, call in inside):
            return "running"
        hooks = self.told.hooks[run.history.attempt].items()
        waits = any(call.kind == "sleep" for _, call in inside) or any(
            one.startswith(f"{id}/") and state.is_open for one, state in hooks
        )
        return "waiting" if waits else "running"


@pytest.mark.parametrize("first", range(0, COUNT, CHUNK))
@pytest.mark.parametrize("steady", [True, False])
async def test_a_canvas_is_lit_as_the_run_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, steady: bool
) -> None:
    compared = skipped = caught = 0
    start = first + (300_000 if steady else 400_000)
    seeds = [(f"p{seed}", seed, steady) for seed in range(start, start + CHUNK)]
    with programs(tmp_path, seeds) as project:
        for slug, seed, _ in seeds:
            told = Told()
            with monkeypatch.context() as patching:
                told.watch(patching)
                machine = Watched(project, slug, told, seed=seed)
                try:
                    ended = await machine.finish()
                finally:
                    await machine.close()
            assert ended.row.status in FINISHED
            compared += machine.compared
            skipped += _check_end(project, machine.canvas, ended.events, told, slug)
            caught += _check_prefixes(machine.canvas, ended.events, told, slug, seed)
    assert compared > 20 * CHUNK
    assert skipped
    assert caught


def _check_insides(project: Project, canvas: Canvas, events: list[Event], told: Told, slug: str) -> None:
    """Inside a sub-workflow it is the same: skipped is what no body of it came to."""
    fold = Fold(events, now_ms=events[-1].at_ms, finished=True)
    pending = [("", canvas)]
    while pending:
        under, outer = pending.pop()
        for block in walk(outer.blocks):
            if isinstance(block, Step) and block.kind == "workflow" and block.callee is not None:
                path, inner = f"{under}{block.id}", canvas_of(project, block.callee)
                pending.append((f"{path}/", inner))
                every = {id for each in walk(inner.blocks) for id in _ids(each)}
                came_to = {
                    node_path(id).removeprefix(f"{path}/")
                    for attempt in (*told.calls, *told.hooks)
                    for id in (*told.calls[attempt], *told.hooks[attempt])
                    if node_path(id.rpartition("/")[0]) == path
                }
                lit = fold.lights(inner, inside=path)
                assert {node for node, light in lit.items() if light.state == "skipped"} == every - came_to, (
                    slug
                )
                assert set(lit) == every, slug
                assert not any(set(light.counts) & {*OPEN, "pending"} for light in lit.values()), slug


def _check_end(project: Project, canvas: Canvas, events: list[Event], told: Told, slug: str) -> int:
    """Of a run that ended: every node says how its newest occurrence ended, or that there was none."""
    lit = Fold(events, now_ms=events[-1].at_ms, finished=True).lights(canvas)
    every = {id for block in walk(canvas.blocks) for id in _ids(block)}
    came_to = {node for attempt in (*told.calls, *told.hooks) for node in told.nodes(attempt)}
    assert {node for node, light in lit.items() if light.state == "skipped"} == every - came_to, slug
    assert set(lit) == every, slug
    _check_insides(project, canvas, events, told, slug)
    newest = max(told.calls, default=0)
    succeeded = events[-1].type == "run_completed"
    for node, light in lit.items():
        assert not set(light.counts) & {*OPEN, "pending"}, f"{slug} {node} {light}"
        if succeeded:
            assert light.state != "failed", f"{slug} {node} {light}"
    for id, call in told.calls[newest].items():
        if "/" in id:
            continue
        became = _became(call)
        states = set(lit[node_path(id)].counts)
        assert became in states or (became == "failed" and "caught" in states), (
            f"{slug} {id} {became} {states}"
        )
    return len(every - came_to)


def _check_prefixes(canvas: Canvas, events: list[Event], told: Told, slug: str, seed: int) -> int:
    """At any moment, and knowing events alone: nothing is said that the rest of the attempt belies."""
    caught = 0
    ends = _failures_by_attempt(events)
    for length in sorted(Random(seed).sample(range(1, len(events) + 1), min(PREFIXES, len(events)))):
        prefix = events[:length]
        attempt = 1 + sum(event.type == "run_retrying" for event in prefix)
        fold = Fold(prefix, now_ms=prefix[-1].at_ms, finished=False)
        lit = fold.lights(canvas)
        asked = told.nodes(attempt)
        for node, light in lit.items():
            if light.state == "skipped":
                assert node not in asked, (
                    f"{slug} after event {length}: {node} is asked for in attempt {attempt}"
                )
        for id in ends.get(attempt, set[str]()):
            if "/" in id or not any(event.type == "step_failed" and event.step == id for event in prefix):
                continue
            light = lit.get(node_path(id))
            if light is not None and attempt == 1 and prefix[-1].type != "run_retrying":
                uncaught = sum(node_path(other) == node_path(id) for other in _failed(prefix) & ends[attempt])
                assert light.counts.get("failed", 0) >= uncaught, f"{slug} after {length}: {id} {light}"
        caught += sum(light.counts.get("caught", 0) for light in lit.values())
    return caught


def _failures_by_attempt(events: list[Event]) -> dict[int, set[str]]:
    """The steps whose failure reached the top, by the attempt of the run that they ended."""
    ends: dict[int, set[str]] = {}
    attempt = 1
    for event in events:
        if event.type == "run_retrying":
            ends[attempt] = set(value_of(event.data)["reopened"])
            attempt += 1
        elif event.type == "run_failed":
            ends[attempt] = set(event.meta.reopens if event.meta else ())
    return ends


def _failed(events: list[Event]) -> set[str]:
    return {
        event.step for event in events if event.type == "step_failed" and event.step and "/" not in event.step
    }


def _became(call: Any) -> str:
    if call.cancelled() or not call.done():  # left in flight when its run ended
        return "cancelled"
    return "failed" if call.exception() is not None else "done"


def _hook_became(state: Any) -> str:
    return "done" if state.row.status == "resumed" else "failed"


def _ids(block: object) -> Iterator[str]:
    match block:
        case Step(id=id) | Wait(id=id):
            yield id
        case Opaque(steps=steps):
            yield from (step.id for step in steps)
        case _:
            return
